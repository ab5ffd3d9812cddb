package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/inference/process"
	"rbee.dev/rbee/inference/slice"
	"rbee.dev/rbee/job"
	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
	"rbee.dev/rbee/transport/relay"
)

// Options say what a worker runs, and how.
type Options struct {
	ID            string   // its name
	Hive          string   // the name of the hive it belongs to
	Model         string   // the model's name, as clients see it
	Path          string   // the model's file
	Engine        string   // auto or a name in Engines
	Device        string   // auto, cpu, cuda:0, …
	Called        string   // what the engine calls that, where it is another name
	Parallel      int      // requests at once; 0 means 4
	ContextLength int      // tokens per request; 0 means the model's own, at most 4096
	Threads       int      // that compute; 0 leaves it to the engine
	Flags         []string // settings of the engine's own
	Program       string   // the llama-server that the engine llamacpp runs; "" finds one
	Command       string   // the command line of the engine called command
	PromptCache   int64    // bytes that it may fill with prompts it has seen; 0 leaves it to the engine, below 0 is none
	Parts         []string // further hives that the model is divided over
	Share         float64  // of the weights that stay on this machine's CPU then; 0 leaves it to the engine
	PartOf        string   // the worker, HIVE/ID, of whose model this one holds a part
	PartBytes     uint64   // that the part is to take of the memory, or 0
	Folder        string   // for its socket, pid file, log and jobs; it must exist
	Engines       map[string]Open
	Binary        string // what it runs from
	Build         string // that binary's identity
	Log           zerolog.Logger

	// Foreground says that what Run returns is told to a person, who need not find it in
	// the log too.
	Foreground bool

	Silence time.Duration // how long an engine may say nothing before it counts as hung; 0 is for ever
}

// Worker is one worker process.
type Worker struct {
	Options
	open     Open
	pid      *daemon.PIDFile
	ln       net.Listener
	jobs     *job.Server[ops.Infer]
	state    state
	stopper  *daemon.Stopper
	parts    *parts          // nil without Parts
	living   context.Context //nolint:containedctx // of connections with the engine; ends when the worker is to
	carrying sync.WaitGroup  // handlers that have taken their connections over

	// settled is closed when the engine is loaded or has failed to; engine,
	// client and failure are written before and not changed after.
	settled chan struct{}
	engine  inference.Engine
	client  *http.Client // of the engine's handler
	calls   inProcess    // what client sends its requests through
	failure error

	lost error // why the engine cannot be started again; may be read once it is closed
}

// errLoading is the answer to those who come too early and cannot wait.
var errLoading = ops.Errorf(ops.CodeUnavailable, "the worker is still loading its model")

// New takes the pid file and the socket. Nothing is loaded yet.
func New(o Options) (_ *Worker, err error) {
	w := &Worker{Options: o, stopper: daemon.NewStopper(), settled: make(chan struct{})}
	if w.Engine, w.open, err = choose(o.Engines, o.Engine, o.Program); err != nil {
		return nil, err
	}
	if w.Engine == preferred && w.Program == "" {
		w.Program, _ = llamacpp.Find("") // where there is none, loading says so
	}
	switch {
	case w.Device != "" && w.Device != auto:
	case w.Engine == fallback:
		w.Device = "cpu"
	default: // it takes what there is
		w.Device = auto
	}
	if w.Parallel == 0 {
		w.Parallel = inference.DefaultParallel
	}
	started := time.Now().UTC()
	w.state.info = ops.Worker{
		ID: o.ID, HiveID: o.Hive, Model: o.Model, Engine: w.Engine, Device: w.Device, Program: w.Program, State: ops.WorkerLoading,
		PID: daemon.Self().PID, Slots: w.Parallel, StartedAt: started, LogPath: filepath.Join(o.Folder, home.WorkerLog),
		PromptCache: max(0, o.PromptCache), Flags: o.Flags, Command: string(ops.Redact([]byte(o.Command))), Parts: o.Parts, PartOf: o.PartOf, PartBytes: o.PartBytes,
	}
	socket := filepath.Join(o.Folder, home.WorkerSocket)
	var holder daemon.Record
	w.pid, holder, err = daemon.Lock(filepath.Join(o.Folder, home.WorkerPID), daemon.Record{
		Process: daemon.Self(), Binary: o.Binary, Version: daemon.Version, Build: o.Build, Address: socket, StartedAt: started,
	})
	if errors.Is(err, daemon.ErrRunning) {
		return nil, ops.Errorf(ops.CodeConflict, "worker %s is already running, pid %d", o.ID, holder.PID)
	}
	if err != nil {
		return nil, err
	}
	if w.ln, err = transport.ListenUnix(socket); err != nil {
		return nil, errors.Join(err, w.pid.Release())
	}
	return w, nil
}

// Run loads the model and serves until somebody asks for the end, ctx ends or
// the engine fails. A failed engine is the error.
func (w *Worker) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, w.pid.Release()) }()
	w.jobs, err = job.NewServer(job.Options[ops.Infer]{
		Mode: "worker", Version: daemon.Version, Build: w.Build, Run: w.infer, Refuse: w.isAnother,
		Dir: filepath.Join(w.Folder, home.WorkerJobs), Log: w.Log,
	})
	if err != nil {
		return errors.Join(err, w.ln.Close())
	}
	if len(w.Parts) > 0 {
		if w.parts, err = newParts(ctx, w.Parts, w.Log); err != nil {
			return errors.Join(err, w.ln.Close())
		}
	}
	if err := w.slices(); err != nil {
		w.Log.Debug().Err(err).Msg("the worker's threads wait for their turn as any")
	}
	loading, endLoading := context.WithCancel(context.WithoutCancel(ctx))
	defer endLoading()
	w.living = loading
	w.state.publish = func(i ops.Worker) { w.jobs.Publish(i) }
	w.state.change(func(*ops.Worker) {})
	w.mount()
	stopServing := daemon.Listen(ctx, w.ln, w.jobs, w.Log)
	var background sync.WaitGroup
	background.Go(func() { w.load(loading) })
	background.Go(func() { w.stopper.Unfound(loading, w.pid, daemon.ScopeAll, w.Log) })
	w.stopper.Wait(ctx, daemon.ScopeAll)
	endLoading()
	background.Wait()
	ended := w.end(ctx)
	err = errors.Join(w.failure, w.lost, ended, stopServing())
	w.carrying.Wait()
	return err
}

// slices has the worker's threads run as soon as they wake where they pass on what
// another process computes, and not where they compute themselves.
func (w *Worker) slices() error {
	if w.Engine == fallback {
		return slice.Usual()
	}
	return slice.Short()
}

// engineRoutes are the paths of requests that are the engine's to answer: which of
// them it has, only it knows.
var engineRoutes = []string{"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/rerank"}

// mount adds the engine's own API, and the route that ends the worker.
func (w *Worker) mount() {
	engine := http.HandlerFunc(w.serveEngine)
	for _, path := range engineRoutes {
		w.jobs.Mount(http.MethodPost, path, engine)
	}
	w.jobs.Mount(http.MethodGet, "/v1/models", engine)
	w.jobs.Mount(http.MethodPost, daemon.ShutdownPath, w.stopper)
	w.jobs.Mount(http.MethodPost, daemon.RetirePath, http.HandlerFunc(w.serveRetire))
	if w.parts != nil {
		w.jobs.Mount(http.MethodGet, relay.SessionPath, w.carry(w.parts))
	}
	if w.PartOf != "" {
		w.jobs.Mount(http.MethodGet, relay.PartPath, w.carry(&part{w: w}))
	}
}

// carry counts the handlers that take their connections over, which no server
// waits for.
func (w *Worker) carry(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.carrying.Add(1)
		defer w.carrying.Done()
		h.ServeHTTP(rw, r)
	})
}

// serveEngine passes a request to the engine, when there is one.
func (w *Worker) serveEngine(rw http.ResponseWriter, r *http.Request) {
	select {
	case <-w.settled:
	default:
		refuse(rw, errLoading)
		return
	}
	if w.failure != nil {
		refuse(rw, ops.AsError(w.failure))
		return
	}
	w.calls.handler.ServeHTTP(rw, r)
}

// load loads the model, or asks for the worker's end when that fails.
func (w *Worker) load(ctx context.Context) {
	settle := sync.OnceFunc(func() { close(w.settled) })
	defer settle()
	began := time.Now()
	w.Log.Info().Str("model", w.Model).Str("engine", w.Engine).Str("device", w.Device).Str("path", w.Path).Msg("loading the model")
	engine, err := w.openEngine(ctx)
	switch {
	case ctx.Err() != nil: // the end came first
		if engine != nil {
			err = engine.Close()
		}
		w.Log.Info().Err(err).Msg("loading was given up")
	case err != nil:
		e := *ops.AsError(err)
		if e.Field == "worker" { // as the operation calls the engine
			e.Field = ""
		}
		w.failure = fmt.Errorf("load %s: %w", w.Model, &e)
		w.fail(w.failure, "the model cannot be loaded")
	default:
		w.engine = engine
		w.calls.handler = w.state.counting(engine)
		w.client = &http.Client{Transport: &w.calls}
		w.Log.Info().Dur("took", time.Since(began)).Msg("the worker is ready")
		settle() // before anybody hears of it
		w.state.change(func(i *ops.Worker) {
			i.State, i.Slots, i.Context, i.Waiting = ops.WorkerReady, engine.Slots(), engine.ContextLength(), ""
		})
	}
}

// fail tells of a failure that the worker cannot go on after, and asks for its end.
func (w *Worker) fail(why error, what string) {
	if output := lastLines(why); !w.Foreground || len(output) > 0 { // the command in the foreground says why itself
		w.Log.Error().Err(why).Str("code", string(ops.CodeOf(why))).Str("hint", ops.AsError(why).Hint).Strs("output", output).Msg(what)
	}
	w.state.change(func(i *ops.Worker) { i.State, i.Error, i.Waiting = ops.WorkerFailed, why.Error(), "" })
	time.AfterFunc(tellFailure, func() { w.stopper.Ask(daemon.ScopeAll) })
}

// tellFailure is how long a worker that failed stays to say so.
const tellFailure = 100 * time.Millisecond

// openEngine opens the engine and turns its panic into an error.
func (w *Worker) openEngine(ctx context.Context) (engine inference.Engine, err error) {
	defer func() {
		if p := recover(); p != nil {
			w.Log.Error().Str("stack", string(debug.Stack())).Msgf("the engine panicked: %v", p)
			err = ops.Errorf(ops.CodeInternal, "the %s engine panicked: %v", w.Engine, p)
		}
	}()
	s := inference.Spec{
		ModelID: w.Model, ModelPath: w.Path, Device: cmp.Or(w.Called, w.Device), Parallel: w.Parallel, ContextLength: w.ContextLength,
		Threads: max(0, w.Threads), Flags: w.Flags, Command: w.Command, Program: w.Program, Silence: w.Silence, Stall: w.Silence / stallShare, Waits: w.engineWaits, Folder: w.Folder, Changed: w.engineChanged, Answer: w.engineLost, Share: w.Share, PromptCache: w.PromptCache,
	}
	if w.parts != nil {
		s.Parts = w.parts
		w.parts.reached = func() { // what it was started again for is past
			w.state.change(func(i *ops.Worker) { i.Error = "" })
		}
	}
	return w.open(ctx, s)
}

// stallShare is how much shorter than one that has requests to answer an engine
// may do nothing that starts.
const stallShare = 5

// engineWaits tells what an engine that takes long to start waits for.
func (w *Worker) engineWaits(what string) {
	w.Log.Info().Str("waiting", what).Msg("the engine is still starting")
	w.state.change(func(i *ops.Worker) { i.Waiting = what })
}

// engineChanged tells of an engine whose program has ended and is started
// again: meanwhile the worker is one that loads, so that others get the jobs.
func (w *Worker) engineChanged(why error) {
	if why == nil {
		w.Log.Info().Msg("the engine is back")
		w.state.change(func(i *ops.Worker) { i.State, i.Error, i.Waiting, i.FailedStarts = ops.WorkerReady, "", "", 0 })
		return
	}
	if ops.CodeOf(why) == ops.CodeNotFound {
		w.lost = ops.AsError(why).WithHint("%s", hintGone)
		w.fail(w.lost, "the engine cannot be started again")
		return
	}
	w.Log.Warn().Err(why).Strs("output", lastLines(why)).Msg("the engine ended by itself and is started again")
	w.state.change(func(i *ops.Worker) {
		if i.State == ops.WorkerLoading {
			i.FailedStarts++
		}
		i.State, i.Error = ops.WorkerLoading, why.Error()
	})
}

// hintGone is what to do about a model whose file somebody has deleted.
const hintGone = "put it back, or download the model again; `rbee model list` shows what there is"

// engineLost is what requests are told of an engine that is started again, or cannot
// be.
func (w *Worker) engineLost(why error) error {
	if ops.CodeOf(why) == ops.CodeNotFound {
		return w.named(why).WithHint("%s", hintGone)
	}
	return w.named(why).
		WithHint("ask again; `rbee worker get %s%s` shows how it is, and where its log is", w.ID, ops.HiveFlag(w.Hive))
}

// lastLines are the last that a program wrote before the failure, if it was one
// of a program.
func lastLines(failure error) []string {
	if d, ok := errors.AsType[*process.Death](failure); ok {
		return d.Lines
	}
	return nil
}

// stopWithin is how long jobs may take to end; a hive waits five seconds.
const stopWithin = 3 * time.Second

// end cancels what runs and closes the engine.
func (w *Worker) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	err := w.jobs.Stop(ctx)
	if w.engine != nil {
		err = errors.Join(err, w.engine.Close())
	}
	if w.parts != nil {
		err = errors.Join(err, w.parts.Close())
	}
	w.calls.wait()
	w.Log.Info().Msg("the worker has stopped")
	return err
}
