package hive

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/hive/cores"
	"rbee.dev/rbee/modes/hive/engines"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// Options say what a hive is.
type Options struct {
	Home   home.Home
	Name   string
	Listen string // TCP address to listen on beside the socket, or ""
	// Service says that the hive is a service of its machine, which no queen ends
	// with herself.
	Service bool
	// Memory tells the machine's memory, in bytes: all of it, and what programs
	// can still get; 0 when it is not known. nil is the machine's own.
	Memory func(ctx context.Context) (total, free uint64)
	// Cores are what workers may compute on; without any they are left to the
	// engines and the system. [ServeCmd] finds the machine's own.
	Cores cores.Cores
	// IdleTimeout is after how long without anything to do a worker is unloaded;
	// 0 is never.
	IdleTimeout time.Duration
	Binary      string // absolute path of rbee, which workers are started from
	Log         zerolog.Logger
}

// Hive is one hive process.
type Hive struct {
	Options
	build   string
	started time.Time
	pid     *daemon.PIDFile
	ln      net.Listener
	tcp     net.Listener // nil without Listen
	stopper *daemon.Stopper
	jobs    *job.Server[ops.HiveOp]
	models  *models
	fleet   *fleet
	machine machine
	// installed are llama.cpp's releases that engine_install brought.
	installed   *engines.Store
	programs    programs
	environment environment   // of downloads
	moved       chan struct{} // holds one token while cores are to be shared out anew
	placing     chan struct{} // holds one token while a worker is given its place
	dirty       chan struct{} // holds one token while there is a change to publish
	stocked     atomic.Bool   // nothing says that the models have changed since they were read for publishing
	urgent      chan struct{} // holds one while there is one to publish at once
}

var _ ops.HiveHandler = (*Hive)(nil)

// New takes the pid file, the socket and the models' folder. It runs nothing
// yet.
func New(o Options) (_ *Hive, err error) {
	if o.Memory == nil {
		o.Memory = memory
	}
	h := &Hive{Options: o, started: time.Now().UTC(), stopper: daemon.NewStopper(), dirty: make(chan struct{}, 1), placing: make(chan struct{}, 1)}
	h.moved, h.urgent = make(chan struct{}, 1), make(chan struct{}, 1)
	h.machine.looked, h.machine.hung, h.machine.memory = make(chan struct{}), make(chan struct{}, 1), o.Memory
	if h.build, err = daemon.Build(o.Home, o.Binary); err != nil {
		return nil, err
	}
	var holder daemon.Record
	h.pid, holder, err = daemon.Lock(o.Home.PIDFile("hive"), daemon.Record{
		Process: daemon.Self(), Binary: o.Binary, Version: daemon.Version, Build: h.build,
		Address: o.Home.HiveSocket(), StartedAt: h.started, Service: o.Service,
	})
	if errors.Is(err, daemon.ErrRunning) {
		return nil, ops.Errorf(ops.CodeConflict, "a hive is already running, pid %d on %s", holder.PID, holder.Address).
			WithHint("`rbee hive status` tells of it; `rbee queen stop` ends it, `rbee hive stop` one that is a service")
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.pid.Release())
		}
	}()
	if h.ln, err = transport.ListenUnix(o.Home.HiveSocket()); err != nil {
		return nil, err
	}
	if h.models, err = openModels(o.Home.Models(), o.Name); err != nil {
		return nil, errors.Join(err, h.ln.Close())
	}
	h.models.usual, h.models.memory = h.usualEngine, h.roomiest
	h.environment.path = o.Home.HiveEnvironment()
	h.models.fetch.Env, h.models.fetch.Hive = h.environment.get, o.Name
	if h.installed, err = engines.Open(o.Home.Engines()); err != nil {
		return nil, errors.Join(err, h.ln.Close())
	}
	if o.Listen != "" {
		if h.tcp, err = net.Listen("tcp", o.Listen); err != nil { //nolint:noctx // there is no context before Run
			return nil, errors.Join(ops.Errorf(ops.CodeUnavailable, "cannot listen on %s: %w", o.Listen, err).
				WithHint("another program may have the port: choose another address by --listen (port 0 takes any free one)"), h.ln.Close())
		}
	}
	h.fleet = newFleet(o.Home, o.Name, o.Binary, o.Log, h.workersChanged)
	h.fleet.turned = h.workerTurned
	return h, nil
}

// Run serves until somebody asks for the end or ctx ends.
func (h *Hive) Run(ctx context.Context) (err error) {
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	defer func() {
		end()
		background.Wait()
		h.fleet.Close()
		err = errors.Join(err, h.models.Close(), h.pid.Release())
	}()
	if err := daemon.NotUp(h.begin(ctx)); err != nil {
		if h.tcp != nil {
			err = errors.Join(err, h.tcp.Close())
		}
		return errors.Join(err, h.ln.Close())
	}
	background.Go(func() { h.publishing(running) })
	background.Go(func() { h.sharingOut(running) })
	background.Go(func() { h.notice(running) })
	background.Go(func() { h.unloading(running) })
	background.Go(func() { h.stopper.Unfound(running, h.pid, daemon.ScopeAll, h.Log) })
	background.Go(func() { h.machine.looking(running, h.changed) })
	background.Go(func() { _, _ = h.usableLlamaServer(running) }) // the first worker need not wait for it
	stopServing := h.serveSocket(ctx)
	stopTCP, err := h.serveTCP(ctx)
	if err != nil {
		return errors.Join(err, stopServing())
	}
	h.Log.Info().Str("socket", h.Home.HiveSocket()).Str("build", h.build).Int("pid", daemon.Self().PID).Msg("the hive is up")

	scope := h.stopper.Wait(ctx, daemon.ScopeSelf)
	h.models.wants.close()
	h.Log.Info().Str("scope", string(scope)).Msg("the hive is stopping")
	return errors.Join(h.stop(context.WithoutCancel(ctx), scope), stopServing(), stopTCP())
}

// serveTCP serves the same on TCP, where that is wanted.
func (h *Hive) serveTCP(ctx context.Context) (stop func() error, err error) {
	if h.tcp == nil {
		return func() error { return nil }, nil
	}
	token, err := daemon.Token(h.Home.HiveToken(), "hive")
	if err != nil {
		return nil, errors.Join(err, h.tcp.Close())
	}
	h.Log.Info().Str("address", h.tcp.Addr().String()).Msg("the hive listens on TCP too")
	if at, ok := h.tcp.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() {
		h.Log.Warn().Msg("nothing encrypts that address: the token crosses the network in the clear")
	}
	return daemon.Listen(ctx, h.tcp, overTCP(token, h.jobs), h.Log), nil
}

// begin finds out what there is, and takes up the jobs that were left.
func (h *Hive) begin(ctx context.Context) (err error) {
	if err := h.models.ensureBuiltIn(); err != nil {
		return err
	}
	h.machine.lookQuickly(ctx)
	if err := h.fleet.adopt(ctx); err != nil {
		return err
	}
	h.jobs, err = job.NewServer(job.Options[ops.HiveOp]{
		Mode: "hive", Version: daemon.Version, Build: h.build, Dir: h.Home.Jobs("hive"), Log: h.Log, Refuse: h.unknown,
		Again: "`rbee hive start " + h.Name + "` starts it again",
		Run:   func(ctx context.Context, o ops.HiveOp) (any, error) { return ops.HandleHive(ops.As(ctx, "hive"), h, o) },
	})
	if err != nil {
		return err
	}
	h.jobs.Mount(http.MethodPost, daemon.ShutdownPath, h.stopper)
	h.jobs.Mount(http.MethodPost, ops.EnvironmentPath, http.HandlerFunc(h.serveEnvironment))
	h.jobs.Mount(http.MethodPost, "/v1/probe", http.HandlerFunc(h.serveProbe))
	h.jobs.Mount(http.MethodGet, ops.WantsPath, http.HandlerFunc(h.models.wants.serveWants))
	h.jobs.Mount(http.MethodPut, ops.AnswersPath+":id", http.HandlerFunc(h.models.wants.serveAnswer))
	for _, path := range []string{ops.FilesPath + ":model", ops.FilesPath + ":model/:file"} {
		h.jobs.Mount(http.MethodGet, path, http.HandlerFunc(h.models.serveFiles))
	}
	h.jobs.Publish(h.snapshot(h.models.list()))
	return nil
}

// stopWithin bounds the hive's end: workers that do not leave are killed after
// five seconds.
const stopWithin = 15 * time.Second

// stop ends what runs: for a restart jobs and workers are left as they are, to
// be taken up again; for good they are ended.
func (h *Hive) stop(ctx context.Context, scope daemon.Scope) error {
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	if scope == daemon.ScopeSelf {
		return h.jobs.Detach(ctx)
	}
	err := h.jobs.Stop(ctx)
	return errors.Join(err, h.fleet.removeAll(ctx))
}
