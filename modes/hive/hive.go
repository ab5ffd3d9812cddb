package hive

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// Options say what a hive is.
type Options struct {
	Home   home.Home
	Name   string
	Binary string // absolute path of rbee, which workers are started from
	Log    zerolog.Logger
}

// Hive is one hive process.
type Hive struct {
	Options
	build   string
	started time.Time
	pid     *daemon.PIDFile
	stopper *daemon.Stopper
	jobs    *job.Server[ops.HiveOp]
	models  *models
	watches sync.WaitGroup // of the workers' watches

	mu      sync.Mutex
	workers map[string]*member
	devices []ops.Device
}

var _ ops.HiveHandler = (*Hive)(nil)

// New takes the pid file and opens the models' folder.
func New(o Options) (_ *Hive, err error) {
	h := &Hive{Options: o, started: time.Now().UTC(), stopper: daemon.NewStopper(), workers: map[string]*member{}}
	if h.build, err = daemon.Build(o.Home, o.Binary); err != nil {
		return nil, err
	}
	pid, holder, err := daemon.Lock(o.Home.PIDFile("hive"), daemon.Record{
		Process: daemon.Self(), Binary: o.Binary, Version: daemon.Version, Build: h.build,
		Address: o.Home.HiveSocket(), StartedAt: h.started,
	})
	if errors.Is(err, daemon.ErrRunning) {
		return nil, ops.Errorf(ops.CodeConflict, "a hive is already running, pid %d on %s", holder.PID, holder.Address)
	}
	if err != nil {
		return nil, err
	}
	h.pid = pid
	if h.models, err = openModels(o.Home.Models(), o.Name); err != nil {
		return nil, errors.Join(err, pid.Release())
	}
	return h, nil
}

// Run serves until somebody asks for the end or ctx ends.
func (h *Hive) Run(ctx context.Context) (err error) {
	watching, endWatches := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		endWatches()
		h.watches.Wait()
		err = errors.Join(err, h.models.Close(), h.pid.Release())
	}()
	if err := h.models.ensureBuiltIn(); err != nil {
		return err
	}
	h.devices = findDevices(ctx)
	h.adopt(watching)
	h.jobs, err = job.NewServer(job.Options[ops.HiveOp]{
		Mode: "hive", Version: daemon.Version, Build: h.build, Dir: h.Home.Jobs("hive"), Log: h.Log,
		Run: func(ctx context.Context, o ops.HiveOp) (any, error) {
			return ops.HandleHive(context.WithValue(ops.As(ctx, "hive"), watchKey{}, watching), h, o)
		},
	})
	if err != nil {
		return err
	}
	h.jobs.Mount(http.MethodPost, daemon.ShutdownPath, h.stopper)
	h.jobs.Mount(http.MethodPost, "/v1/probe", http.HandlerFunc(h.serveProbe))
	l, err := transport.ListenUnix(h.Home.HiveSocket())
	if err != nil {
		return err
	}
	stopServing := daemon.Listen(ctx, l, h.jobs)
	h.publish()
	h.Log.Info().Str("socket", h.Home.HiveSocket()).Int("workers", len(h.workers)).Msg("the hive is up")

	scope := h.stopper.Wait(ctx, daemon.ScopeSelf)
	h.Log.Info().Str("scope", string(scope)).Msg("the hive is stopping")
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	if scope == daemon.ScopeSelf {
		return errors.Join(h.jobs.Detach(bounded), stopServing())
	}
	return errors.Join(h.jobs.Stop(bounded), h.endWorkers(bounded), stopServing())
}

// snapshot is all that the hive knows of itself.
func (h *Hive) snapshot() ops.HiveSnapshot {
	workers := h.list()
	started := h.started
	h.mu.Lock()
	devices := h.devices
	h.mu.Unlock()
	models := h.models.list()
	running := 0
	for _, w := range workers {
		if w.State != ops.WorkerFailed {
			running++
		}
	}
	return ops.HiveSnapshot{
		Hive: ops.Hive{
			ID: h.Name, State: ops.HiveUp, Version: daemon.Version, Build: h.build, PID: daemon.Self().PID,
			Devices: devices, StartedAt: &started, LogPath: h.Home.Log("hive"), Workers: running, Models: len(models),
		},
		Workers: workers, Models: models,
	}
}

// publish tells whoever listens what the hive knows now.
func (h *Hive) publish() {
	if h.jobs != nil { // nobody listens before there is a server
		h.jobs.Publish(h.snapshot())
	}
}

// serveProbe answers with a fresh snapshot; refresh_capabilities reads the
// devices anew.
func (h *Hive) serveProbe(w http.ResponseWriter, r *http.Request) {
	devices := findDevices(r.Context())
	h.mu.Lock()
	h.devices = devices
	h.mu.Unlock()
	h.publish()
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(h.snapshot()); err != nil {
		h.Log.Debug().Err(err).Msg("a probe's answer did not arrive")
	}
}
