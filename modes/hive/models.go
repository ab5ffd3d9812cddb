package hive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/renameio/v2"

	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

// The files in a model's folder.
const (
	modelFile    = "model.gguf"
	manifestFile = "manifest.json"
)

// partial is the prefix of folders whose model is not complete yet. No model's
// name begins with a full stop.
const partial = ".partial-"

// manifest is what a model's file does not say itself. A folder that a person
// copied in has none.
type manifest struct {
	Source  string    `json:"source"`
	SHA256  string    `json:"sha256"`
	AddedAt time.Time `json:"added_at"`
}

// models is the models on the hive's disk: a folder for each. The disk is the
// truth; only what was read of files that have not changed is remembered.
type models struct {
	dir  string
	hive string
	root *os.Root // no name leads out of it, by links neither

	mu       sync.Mutex
	known    map[string]described // by path
	underway map[string]*download // by id
}

type described struct {
	size  int64
	mtime time.Time
	model ops.Model
}

func openModels(dir, hive string) (*models, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the models' folder: %w", err)
	}
	m := &models{dir: dir, hive: hive, root: root, known: map[string]described{}, underway: map[string]*download{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the models' folder: %w", err), root.Close())
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), partial) { // of a hive that died in a download
			if err := root.RemoveAll(e.Name()); err != nil {
				return nil, errors.Join(fmt.Errorf("clear an unfinished download away: %w", err), root.Close())
			}
		}
	}
	return m, nil
}

// Close gives the folder up.
func (m *models) Close() error { return m.root.Close() }

// ensureBuiltIn writes the built-in model out where it is missing. One that a
// person deleted comes back with the next start of the hive.
func (m *models) ensureBuiltIn() error {
	if _, err := m.get(testdata.TinybeeName); err == nil {
		return nil
	}
	temp, err := os.MkdirTemp(m.dir, partial)
	if err != nil {
		return fmt.Errorf("write the built-in model: %w", err)
	}
	err = renameio.WriteFile(filepath.Join(temp, modelFile), testdata.Tinybee(), 0o600)
	if err == nil {
		err = m.settle(temp, testdata.TinybeeName, manifest{Source: ops.BuiltInSource, AddedAt: time.Now().UTC()})
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the built-in model: %w", err), os.RemoveAll(temp))
	}
	return nil
}

// settle gives a complete folder its name.
func (m *models) settle(temp, id string, about manifest) error {
	text, err := json.MarshalIndent(about, "", "  ")
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(temp, manifestFile), append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(m.dir, id))
}

// list describes all models, by name.
func (m *models) list() []ops.Model {
	list := []ops.Model{}
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return list // the folder was deleted: there are none
	}
	for _, e := range entries {
		if model, err := m.get(e.Name()); err == nil {
			list = append(list, model)
		}
	}
	return list
}

// get describes the model called id. What cannot be used is described too,
// with its Error; a folder without a GGUF file is no model.
func (m *models) get(id string) (ops.Model, error) {
	if err := ops.CheckModelID(id); err != nil {
		return ops.Model{}, err
	}
	name, info, err := m.file(id)
	if err != nil {
		return ops.Model{}, m.missing(id)
	}
	path := filepath.Join(m.dir, id, name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, ok := m.known[path]; ok && k.size == info.Size() && k.mtime.Equal(info.ModTime()) {
		return k.model, nil
	}
	model := m.describe(id, path, info)
	m.known[path] = described{info.Size(), info.ModTime(), model}
	return model, nil
}

// file finds the GGUF file in a model's folder, without leaving the store.
func (m *models) file(id string) (string, fs.FileInfo, error) {
	dir, err := m.root.Open(id)
	if err != nil {
		return "", nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return "", nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasSuffix(strings.ToLower(name), ".gguf") {
			continue
		}
		if info, err := m.root.Stat(id + "/" + name); err == nil && info.Mode().IsRegular() {
			return name, info, nil
		}
	}
	return "", nil, fs.ErrNotExist
}

func (m *models) describe(id, path string, info fs.FileInfo) ops.Model {
	model := ops.Model{ID: id, HiveID: m.hive, Size: info.Size(), Path: path, AddedAt: info.ModTime().UTC(), Source: "copied into the models' folder"}
	var about manifest
	if text, err := m.root.ReadFile(id + "/" + manifestFile); err == nil && json.Unmarshal(text, &about) == nil {
		model.Source, model.SHA256, model.AddedAt = about.Source, about.SHA256, about.AddedAt
	}
	f, err := gguf.Open(path)
	if err != nil {
		model.Error = err.Error()
		return model
	}
	defer f.Close() //nolint:errcheck // it was only read
	model.Architecture, model.Quantization = f.Architecture(), f.Quantization()
	model.Parameters = int64(f.Parameters()) //nolint:gosec // the file holds them
	if n, ok := f.Uint(model.Architecture + ".context_length"); ok {
		model.Context = int(min(n, 1<<30)) //nolint:gosec // bounded
	}
	return model
}

func (m *models) missing(id string) error {
	var ids []string
	if entries, err := os.ReadDir(m.dir); err == nil {
		for _, e := range entries {
			ids = append(ids, e.Name())
		}
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no model %q on hive %s", id, m.hive)
	if near := ops.Nearest(id, ids); near != "" {
		return e.WithHint("did you mean %q? `rbee model list` shows the models there are", near)
	}
	return e.WithHint("`rbee model list` shows the models there are, `rbee model download` brings another")
}

// choose returns the model called id; for "", the one that a person added
// last, or the built-in one.
func (m *models) choose(ctx context.Context, id string) (ops.Model, error) {
	if id != "" {
		model, err := m.get(id)
		if ops.CodeOf(err) == ops.CodeInvalid {
			err = m.missing(id) // whatever it is, it names no model
		}
		return usable(model, err)
	}
	var best ops.Model
	for _, model := range m.list() {
		if model.Error == "" && model.Source != ops.BuiltInSource && (best.ID == "" || model.AddedAt.After(best.AddedAt)) {
			best = model
		}
	}
	if best.ID != "" {
		ops.Narrate(ctx, "model_choose", "no model was named: taking %s, the one added last", best.ID)
		return best, nil
	}
	return usable(m.get(testdata.TinybeeName))
}

func usable(model ops.Model, err error) (ops.Model, error) {
	if err == nil && model.Error != "" {
		return model, ops.Errorf(ops.CodeInvalid, "the model %s cannot be used: %s", model.ID, model.Error).
			WithHint("`rbee model delete %s` removes it", model.ID)
	}
	return model, err
}

// remove deletes a model's folder.
func (m *models) remove(id string) error {
	if err := m.root.RemoveAll(id); err != nil {
		return fmt.Errorf("delete the model %s: %w", id, err)
	}
	return nil
}
