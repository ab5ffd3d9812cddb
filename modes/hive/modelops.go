package hive

import (
	"context"

	"rbee.dev/rbee/ops"
)

// ModelDownload brings a model onto the disk.
func (h *Hive) ModelDownload(ctx context.Context, o ops.ModelDownload) (ops.Model, error) {
	defer h.changed() // also after an error: what has come of it is told of
	return h.models.download(ctx, o.Model, o.ID)
}

// ModelList lists the models on the disk.
func (h *Hive) ModelList(context.Context, ops.ModelList) (ops.Models, error) {
	return ops.Models{Models: h.models.list()}, nil
}

// ModelGet shows one model.
func (h *Hive) ModelGet(_ context.Context, o ops.ModelGet) (ops.Model, error) {
	m, err := h.models.get(o.ID)
	if other, ok := h.models.other(o.ID); err != nil && ok {
		return other, nil
	}
	return m, err
}

// ModelDelete removes a model that no worker uses, or what has come of one.
func (h *Hive) ModelDelete(ctx context.Context, o ops.ModelDelete) (ops.ModelDeleted, error) {
	m, err := h.models.get(o.ID)
	if ops.CodeOf(err) == ops.CodeNotFound {
		if freed, ok, err := h.models.removePartial(o.ID); ok || err != nil {
			h.changed()
			return ops.ModelDeleted{ID: o.ID, HiveID: h.Name, Freed: freed}, err
		}
	}
	if stray, ok := h.models.other(o.ID); err != nil && ok {
		return ops.ModelDeleted{}, ops.Errorf(ops.CodeConflict, "%s is no model, and stays: %s", stray.ID, stray.Error).
			WithHint("%s", stray.Hint)
	}
	if err != nil {
		return ops.ModelDeleted{}, err
	}
	for _, w := range h.fleet.list() {
		if w.Model == m.ID && w.State != ops.WorkerFailed {
			return ops.ModelDeleted{}, ops.Errorf(ops.CodeConflict, "worker %s uses the model %s", w.ID, m.ID).
				WithHint("`rbee worker delete %s%s` ends it", w.ID, ops.HiveFlag(h.Name))
		}
	}
	if err := h.models.unlent(m.ID); err != nil {
		return ops.ModelDeleted{}, err
	}
	freed := m.Size - h.models.shared(m.ID)
	if err := h.models.remove(m.ID); err != nil {
		return ops.ModelDeleted{}, err
	}
	h.changed()
	if m.Source == ops.BuiltInSource {
		ops.Narrate(ctx, "model_delete", "%s is built in: it comes back when the hive starts next", m.ID)
	}
	return ops.ModelDeleted{ID: m.ID, HiveID: h.Name, Freed: freed}, nil
}
