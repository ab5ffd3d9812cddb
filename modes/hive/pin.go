package hive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"rbee.dev/rbee/ops"
)

// pinFile marks the folder of a pinned model, beside its file: the mark goes with
// the model, and outlives the hive.
const pinFile = "pinned"

// ModelPin keeps the model's workers from being unloaded.
func (h *Hive) ModelPin(_ context.Context, o ops.ModelPin) (ops.Model, error) {
	return h.pin(o.ID, true)
}

// ModelUnpin lets them be unloaded again.
func (h *Hive) ModelUnpin(_ context.Context, o ops.ModelUnpin) (ops.Model, error) {
	return h.pin(o.ID, false)
}

func (h *Hive) pin(id string, pinned bool) (ops.Model, error) {
	m, err := h.models.get(id)
	if err != nil {
		return m, err
	}
	if err := h.models.pin(id, pinned); err != nil {
		return m, ops.Errorf(ops.CodeInternal, "pin the model %s: %w", id, err)
	}
	h.changed()
	return h.models.get(id)
}

// pin sets the mark, or takes it away.
func (m *models) pin(id string, pinned bool) error {
	root, err := m.root.now()
	if err != nil {
		return err
	}
	name := filepath.Join(id, pinFile)
	if !pinned {
		if err := root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	f, err := root.Create(name)
	if err != nil {
		return fmt.Errorf("mark its folder: %w", err)
	}
	return f.Close()
}

// pinned reports whether the mark is there.
func (m *models) pinned(id string) bool {
	_, err := m.root.Lstat(filepath.Join(id, pinFile))
	return err == nil
}
