package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

const (
	// stopWithin is how long a queen may take to end with all that it started.
	stopWithin = 30 * time.Second
	// answerWithin is how long a daemon may say nothing at all.
	answerWithin = 5 * time.Second
	// killWithin is how long the system may take to end a process for certain.
	killWithin = 10 * time.Second
)

// hungHint is what to do about this account's queen where it hangs.
const hungHint = "`rbee queen restart` ends it and starts another, which takes up its jobs; `rbee queen stop` ends it with its hive and workers"

// hangs reports whether this account's queen, which runs, does not answer, or is
// ending and takes no connection any more.
func (k *Keeper) hangs(ctx context.Context, record daemon.Record) (hung, stopping bool) {
	c := transport.New(k.own(record))
	defer c.Close()
	asking, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	h, err := c.Health(asking)
	failed := err != nil && ctx.Err() == nil
	return failed && asking.Err() != nil, h.Status == ops.HealthStopping || failed && errors.Is(err, syscall.ECONNREFUSED)
}

// stopping reports whether this account's queen, which runs, is ending.
func (k *Keeper) stopping(ctx context.Context, record daemon.Record) bool {
	_, stopping := k.hangs(ctx, record)
	return stopping
}

// outlived reports whether err came of this account's queen, the one that was asked, while
// she was ending, and waits until she has ended: the next one may be asked.
func (k *Keeper) outlived(ctx context.Context, asked daemon.Record, err error) bool {
	if k.Queen != "" || ctx.Err() != nil || ops.CodeOf(err) != ops.CodeUnavailable || errors.Is(err, transport.ErrUnreachable) {
		return false
	}
	record, runs := k.running()
	if !runs || asked.PID != 0 && record.Process != asked.Process {
		return true
	}
	return k.stopping(ctx, record) && k.outlive(ctx, record) == nil
}

// outlive waits for the end of a queen that takes nothing any more.
func (k *Keeper) outlive(ctx context.Context, record daemon.Record) error {
	if record.Alive() {
		k.say("keeper: waiting for the end of the queen that is stopping, pid %d", record.PID)
	}
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	if err := daemon.WaitEnd(ctx, record.Process); err != nil {
		return unreachable("the queen, process %d, is stopping and has not ended", record.PID).WithHint(hungHint)
	}
	return nil
}

// tokenLost is why the file of this account's token is no way to its queen, which runs
// as record says.
func (k *Keeper) tokenLost(record daemon.Record) error {
	text, err := os.ReadFile(k.Home.Token())
	token := strings.TrimSpace(string(text))
	why, hint := "", "`rbee queen restart` makes another"
	switch {
	case os.IsNotExist(err):
		why = "the file with the token of the queen that runs is gone"
	case err != nil:
		return ops.Errorf(ops.CodeInternal, "read the token: %w", err)
	case token == "":
		why = "the file with the token of the queen that runs is empty"
	case k.ownToken() == "":
		why, hint = "the file with the token of the queen that runs holds none any more", "remove the file, and "+hint
	case record.TokenSum != "" && record.TokenSum != daemon.TokenSum(token):
		why, hint = "the file with the token of the queen that runs holds another one", "`rbee queen restart` has the queen take that one"
	default:
		return nil
	}
	return ops.Errorf(ops.CodeDenied, "%s: %s", why, k.Home.Token()).WithHint("%s", hint)
}

// shutdown asks the queen to end and waits until it has. One that cannot be asked, or
// does not end, is killed: whoever may write its pid file may do that too.
func (k *Keeper) shutdown(ctx context.Context, record daemon.Record, scope daemon.Scope) error {
	if record.Address == "" { // it is starting, without a command that waits for it
		return k.kill(ctx, record, scope, answerWithin)
	}
	c := transport.New(k.own(record))
	defer c.Close()
	asking, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var answer daemon.Stopping
	err := c.Post(asking, daemon.ShutdownPath, daemon.Shutdown{Scope: scope}, &answer)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil:
		if answer.Warning != "" {
			k.say("keeper: warning: %s", answer.Warning)
		}
		if scope == daemon.ScopeSelf {
			waiting := time.AfterFunc(time.Second, func() { k.say("keeper: waiting for answers of the APIs to end, ten seconds at most") })
			defer waiting.Stop()
		}
		return k.awaitEnd(ctx, record, scope)
	case ops.CodeOf(err) == ops.CodeConflict: // she says why she will not
		return err
	case ops.CodeOf(err) == ops.CodeDenied && k.Token == "":
		return k.endUnasked(ctx, record, scope)
	case errors.Is(err, transport.ErrUnreachable) && asking.Err() == nil: // it is dying, or deaf
		return k.kill(ctx, record, scope, answerWithin)
	case asking.Err() != nil:
		k.say("keeper: the queen does not answer; killing its process %d", record.PID)
		return k.kill(ctx, record, scope, time.Second) // who is deaf for so long will not hear a signal either
	}
	return fmt.Errorf("ask the queen to end: %w", err)
}

// awaitEnd waits for the end of a queen that was asked.
func (k *Keeper) awaitEnd(ctx context.Context, record daemon.Record, scope daemon.Scope) error {
	soon, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if daemon.WaitEnd(soon, record.Process) == nil {
		return nil
	}
	if scope == daemon.ScopeAll { // of a restart it is told what is waited for
		k.say("keeper: the queen waits for what it ends, for %s at most", stopWithin)
	}
	late, cancel := context.WithTimeout(ctx, stopWithin-answerWithin)
	defer cancel()
	err := daemon.WaitEnd(late, record.Process)
	if err == nil || ctx.Err() != nil {
		return err
	}
	k.say("keeper: the queen has not ended; killing its process %d", record.PID)
	return k.kill(ctx, record, scope, 0)
}

// endUnasked ends a queen whose token this account has no more, and so cannot ask it.
func (k *Keeper) endUnasked(ctx context.Context, record daemon.Record, scope daemon.Scope) error {
	k.say("keeper: the queen cannot be asked, since its token is not in %s any more; ending its process %d by a signal", k.Home.Token(), record.PID)
	if scope == daemon.ScopeSelf {
		return k.kill(ctx, record, scope, 0)
	}
	if err := record.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("end the queen: %w", err)
	}
	return k.awaitEnd(ctx, record, scope)
}

// kill ends the queen's process for certain. By SIGTERM, which it has patience to
// heed, it would end its hive and workers too; where they are to go on it gets none.
func (k *Keeper) kill(ctx context.Context, record daemon.Record, scope daemon.Scope, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience+killWithin)
	defer cancel()
	if scope == daemon.ScopeAll {
		return daemon.Kill(ctx, record.Process, patience)
	}
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if patience > 0 && daemon.WaitEnd(soon, record.Process) == nil {
		return nil
	}
	return daemon.KillNow(ctx, record.Process)
}

// leaveHive ends the process of this machine's hive, for the next one to find its
// workers and jobs. One that is a service has an environment of its own.
func (k *Keeper) leaveHive(ctx context.Context) error {
	record, alive, err := daemon.Running(k.Home.PIDFile("hive"))
	if err != nil || !alive || record.Service {
		return err
	}
	ctx, end := context.WithTimeout(ctx, stopWithin)
	defer end()
	c := transport.New(transport.Unix(k.Home.HiveSocket()))
	defer c.Close()
	asking, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	err = c.Post(asking, daemon.ShutdownPath, daemon.Shutdown{Scope: daemon.ScopeSelf}, nil)
	switch {
	case err == nil:
		return daemon.WaitEnd(ctx, record.Process)
	case asking.Err() == nil && errors.Is(err, transport.ErrUnreachable): // it is starting, or ending
		return nil
	case asking.Err() == nil || ctx.Err() != nil:
		return fmt.Errorf("ask the hive to end: %w", err)
	}
	k.say("keeper: the hive does not answer; killing its process %d, its workers go on", record.PID)
	return daemon.Kill(ctx, record.Process, time.Second)
}
