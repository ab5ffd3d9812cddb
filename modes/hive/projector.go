package hive

import (
	"io/fs"
	"path/filepath"

	"rbee.dev/rbee/inference/fit"
	"rbee.dev/rbee/inference/gguf"
)

// look reads the projector of the model called id, unless it was read and is the
// same. Of several none counts, as llama.cpp is given none then.
func (m *models) look(id string, k *described) {
	var info fs.FileInfo
	_, beside, err := m.names(id)
	if err == nil && len(beside) == 1 {
		info, err = m.root.Stat(filepath.Join(id, beside[0]))
	}
	if err != nil || info == nil {
		k.eye, k.shape.Projector = nil, nil
		return
	}
	if old := k.eye; k.shape.Projector != nil && old != nil && old.Name() == info.Name() && old.Size() == info.Size() && old.ModTime().Equal(info.ModTime()) {
		return
	}
	projector := fit.Projector{Weights: uint64(max(0, info.Size()))} //nolint:gosec // a size
	if f, err := gguf.Open(filepath.Join(m.dir, id, beside[0])); err == nil {
		projector = fit.ReadProjector(f, info.Size())
		_ = f.Close() // it was only read
	}
	k.eye, k.shape.Projector = info, &projector
}
