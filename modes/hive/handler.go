package hive

import (
	"context"
	"encoding/json"
	"errors"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// WorkerSpawn starts a worker and returns when its model is loaded.
func (h *Hive) WorkerSpawn(ctx context.Context, o ops.WorkerSpawn) (ops.Worker, error) {
	w, err := h.resolve(ctx, o.Model, o.Engine, o.Device)
	if err != nil {
		return ops.Worker{}, err
	}
	w.parallel, w.ctxln = o.Parallel, o.Context
	h.mu.Lock()
	m, err := h.spawn(ctx, w)
	if err != nil {
		return ops.Worker{}, err
	}
	if err := m.wait(ctx); err != nil {
		if ctx.Err() != nil && !errors.Is(err, ops.ErrDetached) { // nobody wants it any more
			_, err = h.WorkerDelete(context.WithoutCancel(ctx), ops.WorkerDelete{ID: m.id})
			return ops.Worker{}, errors.Join(context.Cause(ctx), err)
		}
		return ops.Worker{}, err
	}
	ops.Narrate(ctx, "worker_ready", "the worker %s is ready", m.id)
	return m.info(), nil
}

// WorkerList lists the hive's workers.
func (h *Hive) WorkerList(context.Context, ops.WorkerList) (ops.Workers, error) {
	return ops.Workers{Workers: h.list()}, nil
}

// WorkerGet shows one worker.
func (h *Hive) WorkerGet(_ context.Context, o ops.WorkerGet) (ops.Worker, error) {
	m, err := h.find(o.ID)
	if err != nil {
		return ops.Worker{}, err
	}
	return m.info(), nil
}

// WorkerDelete ends a worker and forgets it.
func (h *Hive) WorkerDelete(ctx context.Context, o ops.WorkerDelete) (ops.WorkerDeleted, error) {
	m, err := h.find(o.ID)
	if err != nil {
		return ops.WorkerDeleted{}, err
	}
	if m.alive() {
		ops.Narrate(ctx, "worker_stop", "stopping the worker %s", m.id)
		if err := m.end(ctx); err != nil {
			return ops.WorkerDeleted{}, err
		}
		<-m.ended
	}
	h.mu.Lock()
	if h.workers[m.id] == m {
		h.forget(m.id)
	}
	h.mu.Unlock()
	h.publish()
	return ops.WorkerDeleted{ID: m.id, HiveID: h.Name}, nil
}

// ModelDownload brings a model onto the disk.
func (h *Hive) ModelDownload(ctx context.Context, o ops.ModelDownload) (ops.Model, error) {
	m, err := h.models.download(ctx, o.Model, o.ID)
	if err == nil {
		h.publish()
	}
	return m, err
}

// ModelList lists the models on the disk.
func (h *Hive) ModelList(context.Context, ops.ModelList) (ops.Models, error) {
	return ops.Models{Models: h.models.list()}, nil
}

// ModelGet shows one model.
func (h *Hive) ModelGet(_ context.Context, o ops.ModelGet) (ops.Model, error) {
	return h.models.get(o.ID)
}

// ModelDelete removes a model that no worker uses.
func (h *Hive) ModelDelete(_ context.Context, o ops.ModelDelete) (ops.ModelDeleted, error) {
	m, err := h.models.get(o.ID)
	if err != nil {
		return ops.ModelDeleted{}, err
	}
	for _, w := range h.list() {
		if w.Model == m.ID && w.State != ops.WorkerFailed {
			return ops.ModelDeleted{}, ops.Errorf(ops.CodeConflict, "the worker %s uses the model %s", w.ID, m.ID).
				WithHint("`rbee worker delete %s` ends it", w.ID)
		}
	}
	if err := h.models.remove(m.ID); err != nil {
		return ops.ModelDeleted{}, err
	}
	h.publish()
	return ops.ModelDeleted{ID: m.ID, HiveID: h.Name, Freed: m.Size}, nil
}

// Infer has a worker do the job, after starting one where none has the model.
// A job that was forwarded before a restart of the hive is followed on at the
// worker that has it.
func (h *Hive) Infer(ctx context.Context, o ops.Infer) (ops.Answer, error) {
	m, err := h.workerFor(ctx, o)
	if err != nil {
		return ops.Answer{}, err
	}
	select {
	case <-m.loaded:
	default:
		if err := m.wait(ctx); err != nil {
			return ops.Answer{}, err
		}
		ops.Narrate(ctx, "worker_ready", "the worker %s is ready", m.id)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	defer close(done)
	go func() { // ends with this call
		select {
		case <-m.ended:
			cancel(m.cause)
		case <-done:
		}
	}()
	raw, err := transport.Forward(ctx, m.client, m.id, o)
	if err != nil {
		return ops.Answer{}, err
	}
	var answer ops.Answer
	if err := json.Unmarshal(raw, &answer); err != nil {
		return ops.Answer{}, ops.Errorf(ops.CodeInternal, "read the answer of worker %s: %w", m.id, err)
	}
	return answer, nil
}

// workerFor is the worker that has the job already, or one for it.
func (h *Hive) workerFor(ctx context.Context, o ops.Infer) (*member, error) {
	if s := ops.SinkOf(ctx); s != nil && s.Cursor().Target != "" {
		m, err := h.find(s.Cursor().Target)
		if err != nil {
			return nil, ops.Errorf(ops.CodeUnavailable, "the worker %s that was answering is gone", s.Cursor().Target)
		}
		return m, nil
	}
	return h.pick(ctx, o)
}
