package hive

import (
	"context"
	"errors"
	"strings"

	"rbee.dev/rbee/ops"
)

// WorkerSpawn starts a worker and returns when its model is loaded. A job that
// runs again after a restart of the hive finds the worker it had started.
func (h *Hive) WorkerSpawn(ctx context.Context, o ops.WorkerSpawn) (ops.Worker, error) {
	w, err := h.wanted(ctx, o)
	if err != nil {
		return ops.Worker{}, err
	}
	if o.RoomOnly || o.WouldFit {
		return h.roomOnly(ctx, w)
	}
	m, err := h.spawn(ctx, w)
	if err != nil {
		return ops.Worker{}, err
	}
	err = m.wait(ctx)
	if m.killed() && ctx.Err() == nil {
		ops.Warn(ctx, "worker_failed", "%v, while it loaded; it is started once more", m.why)
		if m, err = h.spawn(ctx, w); err != nil {
			return ops.Worker{}, err
		}
		err = m.wait(ctx)
	}
	if err != nil {
		if ctx.Err() != nil && !errors.Is(err, ops.ErrDetached) { // nobody wants it any more
			return ops.Worker{}, errors.Join(err, h.fleet.remove(ctx, m))
		}
		if m.dead() && !m.hasFailed() {
			return ops.Worker{}, ops.Errorf(ops.CodeCancelled, "worker %s was stopped while it loaded", m.id).
				WithHint("`rbee worker spawn %s%s` starts another", w.model.ID, ops.HiveFlag(h.Name))
		}
		return ops.Worker{}, err
	}
	ops.Narrate(ctx, "worker_ready", "worker %s is ready", m.id)
	i := m.tell()
	if w.context > 0 && i.Context > 0 && i.Context != w.context {
		ops.Narrate(ctx, "worker_context", "a request may hold %d tokens: %s has made that of %d", i.Context, i.Engine, w.context)
	}
	return i, nil
}

// spawn is the worker that the context's job starts, or has started.
func (h *Hive) spawn(ctx context.Context, w want) (*member, error) {
	id := workerID(ctx)
	return h.place(ctx, w, func() bool { return h.fleet.lives(id) }, func(w want) (*member, bool) { return h.fleet.spawn(w, id) })
}

func (h *Hive) narrateStart(ctx context.Context, m *member, w want) {
	if w.partOf != "" {
		ops.Narrate(ctx, "worker_start", "worker %s holds a part of %s on %s", m.id, w.partOf, w.engine)
		return
	}
	more := ""
	if len(w.parts) > 0 {
		more = ", with parts on " + strings.Join(w.parts, ", ")
	}
	ops.Narrate(ctx, "worker_start", "worker %s loads %s on %s, %s%s", m.id, w.model.ID, w.engine, w.device, more)
}

// WorkerList lists the hive's workers.
func (h *Hive) WorkerList(context.Context, ops.WorkerList) (ops.Workers, error) {
	return ops.Workers{Workers: h.workers()}, nil
}

// WorkerGet shows one worker.
func (h *Hive) WorkerGet(_ context.Context, o ops.WorkerGet) (ops.Worker, error) {
	m, err := h.worker(o)
	if err != nil {
		return ops.Worker{}, err
	}
	w := m.tell()
	w.UnloadsAt = h.unloadsAt(m, w)
	return w, nil
}

// worker is the one that an operation is about.
func (h *Hive) worker(o ops.HiveOp) (*member, error) {
	id, field := ops.WorkerNamed(o)
	m, err := h.fleet.find(id)
	if err != nil {
		e := *ops.AsError(err)
		e.Field = field
		return nil, &e
	}
	return m, nil
}

// WorkerDelete ends a worker and forgets it. What it is answering fails, unless it is
// to be ended only where it answers nothing.
func (h *Hive) WorkerDelete(ctx context.Context, o ops.WorkerDelete) (ops.WorkerDeleted, error) {
	m, err := h.worker(o)
	if err != nil {
		return ops.WorkerDeleted{}, err
	}
	if o.IfIdle {
		if err := h.retireIdle(ctx, m); err != nil {
			return ops.WorkerDeleted{}, err
		}
	}
	if !m.dead() {
		ops.Narrate(ctx, "worker_stop", "stopping worker %s", m.id)
	}
	if err := h.fleet.remove(ctx, m); err != nil {
		return ops.WorkerDeleted{}, err
	}
	return ops.WorkerDeleted{ID: m.id, HiveID: h.Name}, nil
}

// resolve checks what is wanted of a worker and fills in what is left open.
func (h *Hive) resolve(ctx context.Context, model, engine, device string) (want, error) {
	w, err := h.resolveWay(ctx, engine, device)
	if err == nil {
		w.model, err = h.models.choose(ctx, model)
	}
	return w, err
}

// resolveWay is resolve but for the model.
func (h *Hive) resolveWay(ctx context.Context, engine, device string) (want, error) {
	w := want{device: device, anyEngine: engine == "" || engine == auto, anyDevice: device == "" || device == auto}
	var err error
	if w.engine, w.program, err = h.chooseEngine(ctx, engine); err != nil {
		return w, err
	}
	switch {
	case !w.anyDevice:
		err = h.checkDeviceOnceKnown(ctx, w.engine, w.device)
	case w.engine == builtin:
		w.device = "cpu"
	default: // the engine takes what there is
		w.device = auto
	}
	return w, err
}

// workerID is the name of the worker that the context's job starts.
func workerID(ctx context.Context) string {
	var job string
	if s := ops.SinkOf(ctx); s != nil {
		job = s.JobID()
	}
	return ops.WorkerIDOf(job)
}
