package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"text/tabwriter"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// QueenStatus is `rbee queen status`.
type QueenStatus struct{}

// Help is shown by --help.
func (QueenStatus) Help() string {
	return `Tells whether this account's queen runs, and where its files are. It starts
nothing; without a queen it exits with 3.

Example:
  rbee queen status`
}

// ownQueen refuses to take --queen for a command that is about this account's
// queen on this machine: it would do to one what was meant for the other.
func (k *Keeper) ownQueen(command string) error {
	if k.Queen == "" {
		return nil
	}
	return ops.Invalid("queen", "`rbee queen %s` is about the queen of this machine, not the one at %s", command, k.Queen).
		WithHint("leave out --queen and RBEE_QUEEN, or run it on that queen's machine; `rbee status` asks a queen elsewhere")
}

// queenStatus is what the command prints.
type queenStatus struct {
	Running   bool       `json:"running"`
	Hung      bool       `json:"hung,omitempty"`     // it runs, and does not answer
	Stopping  bool       `json:"stopping,omitempty"` // it still runs, and takes nothing any more
	Drained   bool       `json:"drained,omitempty"`
	Address   string     `json:"address,omitempty"`
	URL       string     `json:"url,omitempty"`         // for programs of this machine
	TLS       string     `json:"fingerprint,omitempty"` // of its certificate
	PID       int        `json:"pid,omitempty"`
	Version   string     `json:"version,omitempty"`
	Build     string     `json:"build,omitempty"`
	StartedAt *time.Time `json:"started_at,omitempty"`
	Home      string     `json:"home"`
	Log       string     `json:"log_path"`
	HiveLog   string     `json:"hive_log_path"`
	Workers   string     `json:"workers_path"` // their folders, with a log each
}

// Run tells how the queen stands.
func (QueenStatus) Run(ctx context.Context, k *Keeper) error {
	if err := k.ownQueen("status"); err != nil {
		return err
	}
	record, running := k.running()
	s := queenStatus{
		Running: running, Home: k.Home.State, Log: k.Home.Log("queen"), HiveLog: k.Home.Log("hive"), Workers: k.Home.Workers(),
	}
	if running {
		s.URL, s.TLS = record.URL(), record.Fingerprint
		s.Address, s.PID, s.Version, s.Build, s.StartedAt = record.Address, record.PID, record.Version, record.Build, &record.StartedAt
		k.compare(record)
		if s.Hung, s.Stopping = k.hangs(ctx, record); !s.Hung && !s.Stopping {
			s.Drained, s.Stopping = k.drained(ctx, record)
		}
	}
	if err := k.showQueen(s); err != nil {
		return err
	}
	switch {
	case !running:
		return unreachable("no queen is running").WithHint("`rbee queen start` starts one, and so does a command that needs one")
	case s.Stopping:
		return unreachable("the queen is stopping").WithHint("`rbee queen start` starts one again, and so does a command that needs one")
	case s.Hung:
		return unreachable("the queen at %s, process %d, does not answer", record.Address, record.PID).WithHint("%s; its log is %s", hungHint, s.Log)
	}
	return nil
}

// drained asks this account's queen whether she takes no new work, or even ends by now.
// One that does not answer is shown as far as her files tell.
func (k *Keeper) drained(ctx context.Context, record daemon.Record) (drained, stopping bool) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if k.Token == "" {
		if err := k.tokenLost(record); err != nil {
			k.say("keeper: warning: the queen is not asked how she is: %v (%s)", err, ops.AsError(err).Hint)
			return false, false
		}
	}
	c := transport.New(k.own(record))
	defer c.Close()
	r, err := transport.Call(ctx, c, ops.Status{})
	if err == nil {
		return r.Drained, false
	}
	if _, stopping = k.hangs(ctx, record); !stopping {
		k.say("keeper: warning: the queen does not say how she is: %v", err)
	}
	return false, stopping
}

// askWithin is how long a queen that runs may take to say how she is.
const askWithin = 3 * time.Second

func (k *Keeper) showQueen(s queenStatus) error {
	if k.Output == "json" {
		return k.printJSON(s)
	}
	w := tabwriter.NewWriter(k.Stdout, 0, 8, 2, ' ', 0)
	if s.Running {
		state := "up at "
		switch {
		case s.Hung:
			state = "does not answer at "
		case s.Stopping:
			state = "stopping, no longer at "
		}
		pair(w, "queen", state+s.Address)
		if s.Drained {
			pair(w, "drained", isDrained)
		}
		pair(w, "for programs", s.URL+"/v1")
		pair(w, "certificate", s.TLS)
		pair(w, "pid", fmt.Sprint(s.PID))
		pair(w, "version", s.Version+" build "+s.Build)
		pair(w, "since", when(*s.StartedAt))
	} else {
		pair(w, "queen", "not running")
	}
	pair(w, "state", s.Home)
	pair(w, "log", s.Log)
	pair(w, "hive's log", s.HiveLog)
	pair(w, "workers", s.Workers)
	return w.Flush()
}

// QueenStart is `rbee queen start`.
type QueenStart struct{}

// Help is shown by --help.
func (QueenStart) Help() string {
	return "Starts a queen in the background. One that runs already is left alone.\n\nExample:\n  RBEE_LISTEN=127.0.0.1:7900 rbee queen start"
}

// Run starts the queen.
func (QueenStart) Run(ctx context.Context, k *Keeper) error {
	if err := k.ownQueen("start"); err != nil {
		return err
	}
	record, before := k.running()
	if before && k.stopping(ctx, record) {
		if err := k.outlive(ctx, record); err != nil {
			return err
		}
		before = false
	}
	if !before {
		if _, err := k.revive(ctx); err != nil {
			return err
		}
	}
	if wanted := address(record.Address); before && wanted != record.Address {
		k.say("keeper: warning: the queen that runs listens on %s, not on %s; `rbee queen restart` has it listen there", record.Address, wanted)
	}
	return QueenStatus{}.Run(ctx, k)
}

// QueenStop is `rbee queen stop`.
type QueenStop struct{}

// Help is shown by --help.
func (QueenStop) Help() string {
	return `Ends this account's queen and all that it started on this machine: its hive and
the hive's workers. Jobs that run are cancelled, and answers of the APIs end with an
error. A queen that does not answer is killed.

Example:
  rbee queen stop`
}

// Run stops the queen, and what a dead one left behind.
func (QueenStop) Run(ctx context.Context, k *Keeper) error {
	if err := k.ownQueen("stop"); err != nil {
		return err
	}
	settled, err := k.settled(ctx)
	if err != nil {
		return err
	}
	defer settled()
	record, running, err := daemon.Running(k.Home.PIDFile("queen"))
	if running = running && err == nil; running {
		if err := k.shutdown(ctx, record, daemon.ScopeAll); err != nil {
			return err
		}
	}
	ended, left := "the queen, its hive and its workers have ended", 0
	if hive, err := daemon.Read(k.Home.PIDFile("hive")); err == nil && hive.Service {
		ended = "the queen has ended; this machine's hive is a service and goes on (`rbee hive stop` ends it)"
	} else if left, err = daemon.KillLeftovers(k.Home); err != nil {
		return err
	}
	switch {
	case !running && left > 0:
		ended = "no queen was running; what one had left running, its hive and its workers, has ended"
	case !running:
		ended = "no queen was running"
	}
	k.say("keeper: %s", ended)
	if k.Output == "json" {
		return k.printJSON(queenStopped{running, left})
	}
	return nil
}

// queenStopped is what `rbee queen stop -o json` prints.
type queenStopped struct {
	WasRunning bool `json:"was_running"`
	Leftovers  int  `json:"leftovers,omitempty"` // processes of the hive and its workers that no queen ended
}

// QueenRestart is `rbee queen restart`.
type QueenRestart struct{}

// Help is shown by --help.
func (QueenRestart) Help() string {
	return `Replaces the running queen and its hive by this build, with the environment of
now. HF_ENDPOINT and proxies that are not set now stay as they were; HF_TOKEN has to be
set again, or is given to the hive for good by ` + "`rbee hive env`" + `.
Workers stay, and jobs go on, those of ` + "`rbee infer`" + ` too. Answers of the APIs (and
of ` + "`rbee chat`" + `) have ten seconds to end; then they end with an error that says to ask
again. The queen has the flags of the one before, but for those whose variable is set
now. A hive that is a service of this machine stays as it is. Once she was asked to
end, Ctrl-C no longer cancels it: it would leave no queen.

Examples:
  rbee queen restart
  RBEE_QUEUE_DEPTH=64 rbee queen restart
  HF_TOKEN=hf_… rbee queen restart`
}

// Run restarts the queen where it listened before.
func (QueenRestart) Run(ctx context.Context, k *Keeper) error {
	if err := k.ownQueen("restart"); err != nil {
		return err
	}
	listen, args := k.Listen, []string(nil)
	if record, running := k.running(); running {
		listen, args = address(record.Address), kept(record.Args)
		if err := k.couldStart(ctx, listen, args); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var through func() bool
		ctx, through = k.through(ctx)
		defer through()
		if err := k.shutdown(ctx, record, daemon.ScopeSelf); err != nil {
			return err
		}
		if err := k.leaveHive(ctx); err != nil {
			return err
		}
		k.inherit(record.Env)
	}
	if _, err := k.start(ctx, listen, args...); err != nil {
		return err
	}
	return QueenStatus{}.Run(ctx, k)
}

// through returns a context for what must not stop half way, between a queen that is
// asked to end and the one in her place. Who interrupts it is told so, until release.
func (k *Keeper) through(ctx context.Context) (_ context.Context, release func() bool) {
	return context.WithoutCancel(ctx), context.AfterFunc(ctx, func() {
		k.say("keeper: the queen is ending already, so another is started all the same; a second Ctrl-C would leave none")
	})
}

// couldStart refuses to end a queen for one that could not start: with a variable
// that is wrong, a certificate that has expired, or where another program listens.
func (k *Keeper) couldStart(ctx context.Context, listen string, args []string) error {
	const goesOn = "the queen that runs goes on, since none could start in its place: "
	if _, err := daemon.Install(k.Home, k.Binary); err != nil {
		return fmt.Errorf(goesOn+"%w", err)
	}
	cmd := exec.CommandContext(ctx, k.Binary, append([]string{"queen", "serve", "--check", "--listen", listen}, args...)...)
	said, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	why, hint, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(string(said), "rbee: ")), "\n")
	code := ops.CodeUnavailable
	if e, ok := errors.AsType[*exec.ExitError](err); ok && e.ExitCode() == ops.CodeInvalid.ExitCode() {
		code = ops.CodeInvalid
	}
	return ops.Errorf(code, goesOn+"%s", cmp.Or(why, err.Error())).
		WithHint("%s", strings.TrimSpace(hint))
}

// QueenToken is `rbee queen token`.
type QueenToken struct{}

// Help is shown by --help.
func (QueenToken) Help() string {
	return `Prints the bearer token that the queen's API wants. Who has it has full use of
every hive.

Example:
  curl -H "Authorization: Bearer $(rbee queen token)" http://127.0.0.1:7833/v1/jobs`
}

// Run prints the token.
func (QueenToken) Run(ctx context.Context, k *Keeper) error {
	if err := k.ownQueen("token"); err != nil {
		return err
	}
	if k.ownToken() == "" {
		if _, err := k.ensure(ctx); err != nil {
			return err
		}
	}
	record, running := k.running()
	if !running {
		record = daemon.Record{} // the next one takes what the file holds
	}
	if err := k.tokenLost(record); err != nil {
		return err
	}
	token := k.ownToken()
	if k.Output == "json" {
		return k.printJSON(queenToken{token})
	}
	_, err := fmt.Fprintln(k.Stdout, token)
	return err
}

// queenToken is what `rbee queen token -o json` prints.
type queenToken struct {
	Token string `json:"token"`
}
