package hive

import (
	"context"
	"fmt"

	"github.com/dustin/go-humanize/english"

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
	if err := h.unused(m.ID); err != nil {
		return ops.ModelDeleted{}, err
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

// mostUsers is how many workers that use a model are told by their names.
const mostUsers = 5

// unused refuses a model that workers use, and names them.
func (h *Hive) unused(model string) error {
	var ids, ends []string
	for _, w := range h.fleet.list() {
		if w.Model == model && w.State != ops.WorkerFailed {
			ids, ends = append(ids, w.ID), append(ends, fmt.Sprintf("`rbee worker delete %s%s`", w.ID, ops.HiveFlag(h.Name)))
		}
	}
	hint := english.WordSeries(ends, "and") + " end them"
	switch n := len(ids); {
	case n == 0:
		return nil
	case n == 1:
		return ops.Errorf(ops.CodeConflict, "worker %s uses the model %s", ids[0], model).WithHint("%s ends it", ends[0])
	case n > mostUsers:
		ids = append(ids[:mostUsers], fmt.Sprintf("%d more", n-mostUsers))
		hint = fmt.Sprintf("`rbee worker list%[1]s` shows them, `rbee worker delete ID%[1]s` ends one", ops.HiveFlag(h.Name))
	}
	return ops.Errorf(ops.CodeConflict, "workers %s use the model %s", english.WordSeries(ids, "and"), model).WithHint("%s", hint)
}
