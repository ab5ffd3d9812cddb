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
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
)

// Options say how a queen runs.
type Options struct {
	Home   home.Home
	Listen string // host:port on loopback; port 0 takes any free one
	Binary string // absolute path of rbee, which hives are started from
	// Releases is the URL of a folder of release archives, for machines that
	// Binary does not run on; "" is none.
	Releases string
	// AutoDownload lets a request for a model by where it comes from bring it.
	AutoDownload bool
	Log          zerolog.Logger
}

// Queen is one queen process.
type Queen struct {
	Options
	build   string
	started time.Time
	address string

	pid      *daemon.PIDFile
	store    *store
	identity string   // by which machines know whose hive they have
	key      *ssh.Key // the queen's own
	access   *access.Access
	local    *localHive
	hives    hives
	books    books
	aliases  aliases
	logins   logins
	reserved reserved
	splits   *splits
	jobs     *job.Server[ops.Op]
	gateway  *gateway.Gateway
	stopper  *daemon.Stopper
	ln       net.Listener
	ready    chan struct{} // closed when jobs is set: a job of before a restart may run earlier
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
	if err := q.lock(); err != nil {
		return nil, err
	}
	undo := []func() error{q.pid.Release}
	defer func() {
		if err != nil {
			for _, f := range undo {
				err = errors.Join(err, f())
			}
		}
	}()
	if q.ln, err = net.Listen("tcp", o.Listen); err != nil { //nolint:noctx // there is no context before Run
		return nil, ops.Errorf(ops.CodeUnavailable, "cannot listen on %s: %w", o.Listen, err).
			WithHint("another program has the port: choose one by --listen or RBEE_LISTEN (port 0 takes any free one)")
	}
	undo = append(undo, q.ln.Close)
	q.address = q.ln.Addr().String()
	if err := q.pid.Write(q.record()); err != nil {
		return nil, err
	}
	if q.store, err = openStore(context.Background(), o.Home.Database()); err != nil {
		return nil, err
	}
	undo = append(undo, q.store.Close)
	if q.identity, err = q.store.Identity(context.Background()); err != nil {
		return nil, err
	}
	if err := q.aliases.load(context.Background(), q.store); err != nil {
		return nil, err
	}
	if q.key, err = ssh.LoadOrCreateKey(o.Home.Key()); err != nil {
		return nil, err
	}
	secret, err := token(o.Home.Token())
	if err != nil {
		return nil, err
	}
	if q.access, err = access.Open(context.Background(), access.Options{DB: q.store.db, Token: secret, Log: o.Log}); err != nil {
		return nil, err
	}
	q.local = newLocalHive(o.Home, o.Binary, q.build, o.Log)
	return q, nil
}

// checkListen refuses addresses that other machines can reach: the job API can
// run commands, and its token would cross the network in the clear.
func (q *Queen) checkListen() error {
	host, _, err := net.SplitHostPort(q.Listen)
	if err != nil {
		return ops.Invalid("listen", "must be HOST:PORT, got %q", q.Listen)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return ops.Invalid("listen", "must be a loopback address as 127.0.0.1:7833, got %q", q.Listen).
		WithHint("to use it from another machine, forward the port: ssh -L 7833:127.0.0.1:7833 HOST")
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
		Address: q.address, StartedAt: q.started,
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
	q.jobs, err = job.NewServer(job.Options[ops.Op]{
		Mode: "queen", Version: daemon.Version, Build: q.build, Run: q.do,
		Dir: q.Home.Jobs("queen"), Admit: q.access.Admit, Tell: q.refuse, Log: q.Log,
	})
	if err != nil {
		return err
	}
	close(q.ready)
	saving.Go(func() { q.saving(watching) })
	saving.Go(func() { q.access.Run(watching) })
	saving.Go(func() { q.keepSplits(watching) })
	q.jobs.Mount(http.MethodPost, daemon.ShutdownPath, q.stopper)
	q.jobs.Mount(http.MethodPost, ops.LoginPath, http.HandlerFunc(q.serveLogin))
	q.serveGateway()
	stopServing := daemon.Listen(ctx, q.ln, q.jobs)
	q.Log.Info().Str("address", q.address).Str("build", q.build).Int("pid", daemon.Self().PID).Msg("the queen is up")

	scope := q.stopper.Wait(ctx, daemon.ScopeAll)
	q.Log.Info().Str("scope", string(scope)).Msg("the queen is stopping")
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
	q.hives.add(ctx, ops.LocalHive, q.local, q.watchLocal)
	for id, r := range remotes {
		if err := q.adopt(ctx, id, newRemoteHive(id, r, q.newLink(r, false), q.Log)); err != nil {
			return err
		}
	}
	return nil
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
	if q.gateway != nil {
		q.gateway.Close()
	}
	q.hives.close()
	q.local.Close()
	q.logins.close()
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
