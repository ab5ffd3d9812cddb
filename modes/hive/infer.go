package hive

import (
	"context"
	"encoding/json"
	"path/filepath"
	"time"

	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// Infer has a worker do the job, after starting one where none has the model.
// A job that was forwarded before a restart of the hive is followed on at the
// worker that has it.
func (h *Hive) Infer(ctx context.Context, o ops.Infer) (ops.Answer, error) {
	m, err := h.workerFor(ctx, o)
	if err != nil {
		return ops.Answer{}, err
	}
	answer, err := h.forward(ctx, m, o)
	if err != nil && o.WorkerID == "" && neverTaken(ctx, m, err) {
		// It died or hung before the job and nobody had noticed: the next one does it.
		if m, err = h.workerFor(ctx, o); err == nil {
			answer, err = h.forward(ctx, m, o)
		}
	}
	if err != nil && o.WorkerID != "" && m.dead() {
		err = ofNamed(err, m.tell().Model)
	}
	return answer, err
}

// workerFor is the worker that has the job already, or one for it. The job is
// counted as given to it.
func (h *Hive) workerFor(ctx context.Context, o ops.Infer) (*member, error) {
	at := cursor(ctx)
	if at.Target != "" {
		if m, err := h.fleet.find(at.Target); err == nil && !m.dead() && (at.Last > 0 || m.hung() == nil) {
			m.give()
			return m, nil
		}
		if at.Last > 0 {
			return nil, ops.Errorf(ops.CodeUnavailable, "worker %s, which was answering, has ended", at.Target)
		}
	}
	if o.WorkerID != "" {
		return h.chosen(o)
	}
	w, err := h.resolve(ctx, o.Model, o.Engine, o.Device)
	if err != nil {
		return nil, err
	}
	if m := h.fleet.reuse(w); m != nil {
		return m, nil
	}
	if err := h.models.runnable(w.model, w.engine); err != nil {
		return nil, err
	}
	if w.engine == command {
		return nil, ops.Errorf(ops.CodeUnavailable, "no worker on hive %s runs %s by a command line", h.Name, w.model.ID).
			WithHint("`rbee worker spawn %s --engine command --command …%s` starts one", w.model.ID, ops.HiveFlag(h.Name))
	}
	return h.place(ctx, w, func() bool { return h.fleet.has(w) }, func(w want) (*member, bool) { return h.fleet.pick(w, workerID(ctx)) })
}

// chosen is the worker that the job asks for by name.
func (h *Hive) chosen(o ops.Infer) (*member, error) {
	m, err := h.worker(o)
	if err != nil {
		return nil, err
	}
	if m.dead() {
		return nil, ofNamed(m.why, m.tell().Model)
	}
	if err := m.hung(); err != nil {
		return nil, err
	}
	if i := m.tell(); o.Model != "" && o.Model != i.Model {
		return nil, ops.Invalid("worker_id", "worker %s runs %s, not %s", m.id, i.Model, o.Model)
	}
	m.give()
	return m, nil
}

// forward has the worker do the job. The job fails as soon as the worker's end
// is noticed, with the reason of that.
func (h *Hive) forward(ctx context.Context, m *member, o ops.Infer) (ops.Answer, error) {
	defer m.take()
	select {
	case <-m.settled:
	default:
		if err := m.wait(ctx); err != nil {
			return ops.Answer{}, unnamed(o.Model, err)
		}
		ops.Narrate(ctx, "worker_ready", "worker %s is ready", m.id)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go m.cancelAtEnd(ctx, cancel) // ends with ctx
	raw, err := transport.Forward(ctx, m.client, m.id, o)
	if err != nil {
		return ops.Answer{}, err
	}
	var answer ops.Answer
	if err := json.Unmarshal(raw, &answer); err != nil {
		return ops.Answer{}, ops.Errorf(ops.CodeInternal, "read the answer of worker %s: %w", m.id, err)
	}
	answer.HiveID, answer.WorkerID = h.Name, m.id
	return answer, nil
}

// unnamed is err, which kept a worker from loading its model, for who named no
// model: another may do.
func unnamed(model string, err error) error {
	e := ops.AsError(err)
	if model != "" || e.Code == ops.CodeCancelled {
		return err
	}
	return e.WithHint("it was taken since no model was named: `--model NAME` takes another, `rbee model list` shows them")
}

// cancelAtEnd cancels a job's context when the worker ends.
func (m *member) cancelAtEnd(ctx context.Context, cancel context.CancelCauseFunc) {
	select {
	case <-ctx.Done():
	case <-m.ended:
		cancel(m.why)
	}
}

// noticedWithin is how long the end of a worker that does not listen any more
// may take to be noticed.
const noticedWithin = time.Second

// neverTaken reports whether forwarding failed because the worker had ended
// before it could take the job, and has no log of it then, or because it hangs and
// has said nothing of it.
func neverTaken(ctx context.Context, m *member, err error) bool {
	s := ops.SinkOf(ctx)
	if s == nil || ctx.Err() != nil || ops.CodeOf(err) != ops.CodeUnavailable {
		return false
	}
	if m.hung() != nil {
		return s.Cursor().Last == 0
	}
	select {
	case <-m.ended:
	case <-ctx.Done():
		return false
	case <-time.After(noticedWithin):
		return false
	}
	if !m.loaded() {
		return m.killed() // else the next one would fare no better
	}
	logs, err := filepath.Glob(filepath.Join(m.folder, home.WorkerJobs, s.JobID()+".*"))
	return err == nil && len(logs) == 0
}

func cursor(ctx context.Context) ops.Cursor {
	if s := ops.SinkOf(ctx); s != nil {
		return s.Cursor()
	}
	return ops.Cursor{}
}
