package hive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
)

// watchKey is where a job's context holds the context of workers' watches:
// they live as long as the hive, not as the job that started the worker.
type watchKey struct{}

// keepFailed is how many workers that failed stay in the list.
const keepFailed = 5

// list tells of all workers, oldest first.
func (h *Hive) list() []ops.Worker {
	h.mu.Lock()
	members := make([]*member, 0, len(h.workers))
	for _, m := range h.workers {
		members = append(members, m)
	}
	h.mu.Unlock()
	list := make([]ops.Worker, len(members))
	for i, m := range members {
		list[i] = m.info()
	}
	slices.SortFunc(list, func(a, b ops.Worker) int {
		if c := a.StartedAt.Compare(b.StartedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// find returns the worker, or a not_found error with the nearest id.
func (h *Hive) find(id string) (*member, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m, ok := h.workers[id]; ok {
		return m, nil
	}
	var ids []string
	for known := range h.workers {
		ids = append(ids, known)
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no worker %q on hive %s", id, h.Name).
		WithHint("`rbee worker list` shows the workers there are")
	if near := ops.Nearest(id, ids); near != "" {
		e = e.WithHint("did you mean %q? `rbee worker list` shows the workers there are", near)
	}
	return nil, e
}

// want is what a worker must be for a request.
type want struct {
	model           ops.Model
	engine, device  string
	parallel, ctxln int
}

// resolve checks what is wanted and fills in what is left open.
func (h *Hive) resolve(ctx context.Context, model, engine, device string) (want, error) {
	if engine == "" || engine == "auto" {
		engine = "builtin"
	}
	if engine != "builtin" {
		e := ops.Errorf(ops.CodeUnsupported, "hive %s has no engine %q (it has builtin)", h.Name, engine)
		e.Field = "worker"
		return want{}, e
	}
	if device == "" || device == "auto" {
		device = "cpu"
	}
	if device != "cpu" {
		e := ops.Errorf(ops.CodeUnsupported, "the builtin engine runs on the cpu only, not on %q", device)
		e.Field = "device"
		return want{}, e
	}
	m, err := h.models.choose(ctx, model)
	return want{model: m, engine: engine, device: device}, err
}

// fits reports whether a worker's state is what is wanted.
func (w want) fits(s ops.Worker) bool {
	return s.Model == w.model.ID && s.Engine == w.engine && s.Device == w.device
}

// pick returns a worker for a request: the one that is asked for, else the one
// of the model that runs least, else one that loads, else a new one.
func (h *Hive) pick(ctx context.Context, o ops.Infer) (*member, error) {
	if o.WorkerID != "" {
		m, err := h.find(o.WorkerID)
		if err == nil && !m.alive() {
			err = m.cause
		}
		return m, err
	}
	w, err := h.resolve(ctx, o.Model, o.Engine, o.Device)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	var best *member
	least := 0
	for _, m := range h.workers {
		s := m.info()
		if !m.alive() || !w.fits(s) || s.State == ops.WorkerFailed {
			continue
		}
		load := s.Running
		if s.State == ops.WorkerLoading {
			load = 1 << 20
		}
		if best == nil || load < least {
			best, least = m, load
		}
	}
	if best != nil {
		h.mu.Unlock()
		return best, nil
	}
	return h.spawn(ctx, w)
}

// spawn starts a worker. The caller holds the lock, which spawn gives up, so
// that those who ask for the same at the same time find this one.
func (h *Hive) spawn(ctx context.Context, w want) (*member, error) {
	defer h.mu.Unlock()
	id := newID(ctx)
	if m := h.workers[id]; m != nil {
		if m.alive() {
			return m, nil
		}
		h.forget(id)
	}
	folder := h.Home.Worker(id)
	m := newMember(id, folder, ops.Worker{
		ID: id, HiveID: h.Name, Model: w.model.ID, Engine: w.engine, Device: w.device, State: ops.WorkerLoading,
		StartedAt: time.Now().UTC(), LogPath: filepath.Join(folder, home.WorkerLog),
	})
	args := []string{
		"worker", "serve", "--id", id, "--hive", h.Name, "--model", w.model.ID, "--path", w.model.Path,
		"--engine", w.engine, "--device", w.device, "--folder", folder,
		"--parallel", strconv.Itoa(w.parallel), "--context-length", strconv.Itoa(w.ctxln),
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, ops.Errorf(ops.CodeInternal, "make the worker's folder: %w", err)
	}
	ops.Narrate(ctx, "worker_start", "starting the worker %s: %s on %s, %s", id, w.model.ID, w.engine, w.device)
	child, err := daemon.Spawn(daemon.Command{Binary: h.Binary, Args: args, Log: filepath.Join(folder, home.WorkerLog)})
	if err != nil {
		return nil, ops.Errorf(ops.CodeUnavailable, "start a worker: %w", err)
	}
	m.child, m.process = child, child.Process
	h.Log.Info().Str("worker", id).Str("model", w.model.ID).Int("pid", child.PID).Msg("started a worker")
	h.dropFailed(w.model.ID)
	h.workers[id] = m
	h.follow(ctx, m)
	return m, nil
}

// follow starts the worker's watch.
func (h *Hive) follow(ctx context.Context, m *member) {
	watching, ok := ctx.Value(watchKey{}).(context.Context)
	if !ok {
		watching = ctx
	}
	h.watches.Go(func() {
		m.watch(watching, h.publish)
		if watching.Err() == nil {
			h.Log.Warn().Str("worker", m.id).Str("why", m.info().Error).Msg("a worker is gone")
		}
	})
}

// newID is a worker's id, made from the job's, so that a job that runs again
// after a restart of the hive finds the worker that it had started.
func newID(ctx context.Context) string {
	seed := time.Now().String()
	if s := ops.SinkOf(ctx); s != nil {
		seed = s.JobID()
	}
	sum := sha256.Sum256([]byte(seed))
	return "w" + hex.EncodeToString(sum[:3])
}

// dropFailed forgets failed workers of a model that gets a new one, and the
// oldest of all that failed. The caller holds the lock.
func (h *Hive) dropFailed(model string) {
	var failed []*member
	for id, m := range h.workers {
		if m.alive() {
			continue
		}
		if m.info().Model == model {
			h.forget(id)
			continue
		}
		failed = append(failed, m)
	}
	slices.SortFunc(failed, func(a, b *member) int { return a.info().StartedAt.Compare(b.info().StartedAt) })
	for i := 0; i < len(failed)-keepFailed; i++ {
		h.forget(failed[i].id)
	}
}

// forget drops a worker whose process is gone, with its folder. The caller
// holds the lock.
func (h *Hive) forget(id string) {
	folder := h.workers[id].folder
	delete(h.workers, id)
	if err := os.RemoveAll(folder); err != nil {
		h.Log.Warn().Err(err).Str("worker", id).Msg("a worker's folder stays")
	}
}

// endWorkers ends all workers, at once.
func (h *Hive) endWorkers(ctx context.Context) error {
	h.mu.Lock()
	members := make([]*member, 0, len(h.workers))
	for _, m := range h.workers {
		members = append(members, m)
	}
	h.mu.Unlock()
	ended := make(chan error, len(members))
	for _, m := range members {
		go func() { ended <- m.end(ctx) }() // received below
	}
	var errs []error
	for range members {
		errs = append(errs, <-ended)
	}
	for _, m := range members {
		errs = append(errs, os.RemoveAll(m.folder))
	}
	return errors.Join(errs...)
}

// adopt takes back the workers that an earlier hive process started and that
// still run, and clears away the others' folders.
func (h *Hive) adopt(ctx context.Context) {
	entries, err := os.ReadDir(h.Home.Workers())
	if err != nil {
		h.Log.Warn().Err(err).Msg("workers of an earlier hive are not looked for")
		return
	}
	for _, e := range entries {
		folder := h.Home.Worker(e.Name())
		record, alive, err := daemon.Running(filepath.Join(folder, home.WorkerPID))
		if err != nil || !alive {
			if err := os.RemoveAll(folder); err != nil {
				h.Log.Warn().Err(err).Msg("a dead worker's folder stays")
			}
			continue
		}
		m := newMember(e.Name(), folder, ops.Worker{
			ID: e.Name(), HiveID: h.Name, State: ops.WorkerLoading, PID: record.PID, StartedAt: record.StartedAt,
			LogPath: filepath.Join(folder, home.WorkerLog),
		})
		m.process = record.Process
		first, err := firstState(ctx, m)
		if err != nil {
			h.Log.Warn().Err(err).Str("worker", m.id).Msg("a worker of an earlier hive does not answer; ending it")
			_ = m.end(ctx) // it is of no use either way
			continue
		}
		m.heard(first)
		h.workers[m.id] = m
		h.follow(ctx, m)
		h.Log.Info().Str("worker", m.id).Int("pid", record.PID).Msg("took a running worker back")
	}
}
