package queen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/modes/queen/access"
	"rbee.dev/rbee/modes/queen/gateway"
	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
)

// Options say how a queen runs.
type Options struct {
	Home   home.Home
	Listen string // host:port; port 0 takes any free one
	// TLS is "self" for a certificate that the queen makes itself; TLSCert and
	// TLSKey are files of another. Without either, and not on loopback,
	// InsecureHTTP must say that keys may go in the clear.
	TLS, TLSCert, TLSKey string
	InsecureHTTP         bool
	// Hosts are names that it is reached by beside loopback's and the machine's
	// own; Origins are those whose web pages may use it, as https://app.example.
	Hosts, Origins []string
	Binary         string // absolute path of rbee, which hives are started from
	// Releases is the URL of a folder of release archives, for machines that
	// Binary does not run on; "" is none.
	Releases string
	// AutoDownload lets a request for a model by where it comes from bring it.
	AutoDownload bool
	// Policy is the name of the way to choose workers; "" is the default one.
	Policy string
	// QueueDepth is how many requests may wait for one model; 0 is the default.
	QueueDepth int
	// IdleTimeout is that of the hive of the queen's own machine, as in 30m; "" is
	// the hive's own.
	IdleTimeout string
	Log         zerolog.Logger
}

// Queen is one queen process.
type Queen struct {
	Options
	build       string
	started     time.Time
	address     string
	fingerprint string   // of its certificate, or ""
	tokenSum    string   // of its token, once that is read
	names       []string // that it is reached by

	pid      *daemon.PIDFile
	store    *store
	identity string   // by which machines know whose hive they have
	key      *ssh.Key // the queen's own
	access   *access.Access

	quietAfter time.Duration // 0 means quietAfter
	local      *localHive
	hives      hives
	books      books
	aliases    aliases
	logins     logins
	reserved   reserved
	splits     *splits
	schedule   *schedule.Scheduler
	writing    sync.Mutex // held while what she has learnt is written down
	jobs       *job.Server[ops.Op]
	gateway    *gateway.Gateway
	stopper    *daemon.Stopper
	ln         net.Listener
	ready      chan struct{} // closed when jobs is set: a job of before a restart may run earlier
}

var _ ops.QueenHandler = (*Queen)(nil)

// New takes the pid file, the address and the database. It runs no job yet.
func New(o Options) (_ *Queen, err error) {
	q := &Queen{Options: o, started: time.Now().UTC(), stopper: daemon.NewStopper(), ready: make(chan struct{}), splits: newSplits()}
	if q.build, err = daemon.Build(o.Home, o.Binary); err != nil {
		return nil, err
	}
	if err := q.checkListen(); err != nil {
		return nil, err
	}
	policy, err := schedule.PolicyNamed(o.Policy)
	if err != nil {
		return nil, err
	}
	if err := q.lock(); err != nil {
		return nil, err
	}
	undo := []func() error{q.pid.GiveUp}
	defer func() {
		if err != nil {
			for _, f := range undo {
				if undone := f(); undone != nil {
					err = errors.Join(err, undone)
				}
			}
		}
	}()
	if q.store, err = openStore(context.Background(), o.Home.Database()); err != nil {
		return nil, err
	}
	undo = append(undo, q.store.Close)
	if err := q.unlock(); err != nil {
		return nil, err
	}
	if err := q.occupy(); err != nil {
		return nil, err
	}
	undo = append(undo, q.ln.Close)
	if err := q.pid.Write(q.record()); err != nil {
		return nil, err
	}
	q.local = newLocalHive(o.Home, o.Binary, q.build, o.Log)
	q.local.idle = o.IdleTimeout
	q.schedule = schedule.New(schedule.Options{Fleet: fleet{q}, Policy: policy, Depth: o.QueueDepth, Aliases: q.aliases.get, Brings: o.AutoDownload})
	q.gateway = gateway.New(fleet{q}, q.schedule)
	q.books.schedule, q.books.changed = q.schedule, make(chan struct{}, 1)
	return q, nil
}

// unlock reads, or makes, what the queen proves itself and others by, and what it
// remembers beside its hives.
func (q *Queen) unlock() (err error) {
	ctx := context.Background()
	if q.identity, err = q.store.Identity(ctx); err != nil {
		return err
	}
	if err := q.aliases.load(ctx, q.store); err != nil {
		return err
	}
	if q.key, err = ssh.LoadOrCreateKey(q.Home.Key()); err != nil {
		return err
	}
	secret, err := daemon.Token(q.Home.Token(), "queen")
	if err != nil {
		return err
	}
	q.tokenSum = daemon.TokenSum(secret)
	q.access, err = access.Open(ctx, access.Options{
		DB: q.store.db, Token: secret,
		Model:  q.meant,
		Models: q.modelNames,
		There:  func(name string) bool { return !q.lacks(q.meant(name)) },
	})
	return err
}

func (q *Queen) lock() error {
	pid, holder, err := daemon.Lock(q.Home.PIDFile("queen"), q.record())
	if errors.Is(err, daemon.ErrRunning) {
		return ops.Errorf(ops.CodeConflict, "a queen is already running, pid %d on %s", holder.PID, holder.Address).
			WithHint("`rbee queen stop` ends it, `rbee queen restart` replaces it")
	}
	q.pid = pid
	return err
}

func (q *Queen) record() daemon.Record {
	return daemon.Record{
		Process: daemon.Self(), Binary: q.Binary, Version: daemon.Version, Build: q.build,
		Address: q.address, StartedAt: q.started, Fingerprint: q.fingerprint, TokenSum: q.tokenSum,
		Args: q.args(), Env: daemon.Handed(),
	}
}

// Run serves until somebody asks for the end or ctx ends. It returns when
// everything that the end takes down is down.
func (q *Queen) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, q.close()) }()
	watching, endWatch := context.WithCancel(context.WithoutCancel(ctx))
	var saving sync.WaitGroup
	defer saving.Wait()
	defer endWatch()
	if err := q.meet(watching); err != nil {
		return err
	}
	if err := q.local.renew(ctx); err != nil {
		q.Log.Warn().Err(err).Msg("the running hive keeps its older build")
	}
	q.schedule.Hold()
	q.jobs, err = job.NewServer(job.Options[ops.Op]{
		Mode: "queen", Version: daemon.Version, Build: q.build, Run: q.do, Refuse: q.unknown,
		Dir: q.Home.Jobs("queen"), Admit: q.access.Admit, Tell: q.refuse, Hosts: q.names, Origins: q.Origins, Log: q.Log,
		Again: startAgain, Settled: q.settle, State: func() any { return q.snapshot() },
		HostHint:   "use the address that `rbee queen status` names; --host-name of `rbee queen serve` adds a name, as of a proxy",
		OriginHint: "start the queen with --cors-origin to let the pages of an origin in",
	})
	if err != nil {
		return err
	}
	close(q.ready)
	saving.Go(func() { q.gather(watching) })
	saving.Go(func() { q.saving(watching) })
	saving.Go(func() { q.publishing(watching) })
	saving.Go(func() { q.keepSplits(watching) })
	saving.Go(func() { q.stopper.Unfound(watching, q.pid, daemon.ScopeSelf, q.Log) }) // the hive sees to itself
	q.stopper.May = q.mayEnd
	q.jobs.Mount(http.MethodPost, daemon.ShutdownPath, q.stopper)
	q.jobs.Mount(http.MethodPost, ops.LoginPath, http.HandlerFunc(q.serveLogin))
	q.jobs.Mount(http.MethodPost, ops.EnvironmentPath, http.HandlerFunc(q.serveEnvironment))
	q.serveGateway()
	stopServing := daemon.Listen(ctx, q.ln, q.jobs, q.Log)
	q.Log.Info().Str("address", q.address).Str("fingerprint", q.fingerprint).Str("build", q.build).Int("pid", daemon.Self().PID).Msg("the queen is up")

	scope := q.stopper.Wait(ctx, daemon.ScopeAll)
	q.Log.Info().Str("scope", string(scope)).Msg("the queen is stopping")
	if scope == daemon.ScopeAll {
		q.jobs.TakeNoMore() // one that came now would only be cancelled
	}
	q.endRequests(context.WithoutCancel(ctx), scope)
	err = q.endJobs(context.WithoutCancel(ctx), scope)
	return errors.Join(err, stopServing())
}

// meet makes the hives that the queen knows, and begins to watch them.
func (q *Queen) meet(ctx context.Context) error {
	remotes, err := q.store.Remotes(ctx)
	if err != nil {
		return err
	}
	if r, ok := remotes[ops.LocalHive]; ok {
		q.local.setInstalled(&r)
		delete(remotes, ops.LocalHive)
	}
	if err := q.books.load(ctx, q.store, remotes); err != nil {
		return err
	}
	if err := q.remindKept(ctx); err != nil {
		return err
	}
	if err := q.remindDrained(ctx); err != nil {
		return err
	}
	q.hives.add(ctx, ops.LocalHive, q.local, q.watchLocal)
	for id, r := range remotes {
		if err := q.adopt(ctx, id, newRemoteHive(id, r, q.newLink(r, false), q.Log)); err != nil {
			return err
		}
	}
	return nil
}

const (
	// settleWithin is how long answers of the APIs may take to end by themselves
	// before another queen takes this one's place.
	settleWithin = 10 * time.Second
	// tellWithin is how long it may take to tell the clients of the others.
	tellWithin = 2 * time.Second
)

// startAgain is what can be done by whose request or job her end has cut off.
const startAgain = "`rbee queen start` starts one again"

// endRequests ends what the APIs are answering. Unlike jobs, it cannot be taken up
// again: for a restart it may end by itself first, while more is taken.
func (q *Queen) endRequests(ctx context.Context, scope daemon.Scope) {
	var why error = ops.Errorf(ops.CodeCancelled, "the queen is stopping").WithHint(startAgain)
	if scope == daemon.ScopeSelf {
		settling, cancel := context.WithTimeout(ctx, settleWithin)
		defer cancel()
		if n := q.gateway.Settle(settling); n > 0 {
			q.Log.Warn().Int("answers", n).Msg("answers are broken off for the restart")
		}
		why = gateway.LaterError{Err: ops.Errorf(ops.CodeUnavailable, "the queen is being restarted").WithHint("ask again in a moment"), After: time.Second}
	}
	telling, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	q.gateway.End(telling, why)
}

// endJobs ends what runs: for a restart jobs are left as they are, to be taken
// up again; for good they are cancelled and the hive goes too.
func (q *Queen) endJobs(ctx context.Context, scope daemon.Scope) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if scope == daemon.ScopeSelf {
		return q.jobs.Detach(ctx)
	}
	err := q.jobs.Stop(ctx)
	if _, service := q.local.installed(); service {
		return err // which runs without a queen
	}
	q.endSplits(ctx)
	return errors.Join(err, q.local.stop(ctx))
}

func (q *Queen) close() error {
	q.gateway.Close()
	q.schedule.Close()
	q.hives.close()
	q.local.Close()
	q.logins.close()
	q.settle()
	err := q.store.Close()
	return errors.Join(err, q.pid.Release())
}

// do runs one operation as a job.
func (q *Queen) do(ctx context.Context, o ops.Op) (any, error) {
	<-q.ready
	ctx = ops.As(ctx, "queen")
	switch o := o.(type) {
	case ops.QueenOp:
		return ops.HandleQueen(ctx, q, o)
	case ops.HiveOp:
		return q.doNamed(ctx, o)
	}
	return nil, fmt.Errorf("operation %s belongs to no arm", o.Name())
}
