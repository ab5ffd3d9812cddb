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
	"syscall"
	"time"

	engine "rbee.dev/rbee/inference/builtin"
	"rbee.dev/rbee/inference/fit"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

// The files in the folder of a model that rbee wrote.
const (
	modelFile    = "model.gguf"
	manifestFile = "manifest.json"
)

// copiedSource is the Source of a model whose folder a person copied or linked in.
const copiedSource = "put into the models' folder by hand"

// manifest is what a model's file does not say itself.
type manifest struct {
	Source  string    `json:"source"`
	SHA256  string    `json:"sha256"`
	Size    int64     `json:"size_bytes"`
	AddedAt time.Time `json:"added_at"`
	// Files is all files that came, with the sum of each.
	Files []ops.FileSum `json:"files,omitempty"`
	// Stamps is by what each of them would be known again where it comes from: a
	// file's time, a server's mark, or "".
	Stamps []string `json:"stamps,omitempty"`
}

// stamp is by what file i would be known again where it comes from, or "".
func (a manifest) stamp(i int) string {
	if i < len(a.Stamps) {
		return a.Stamps[i]
	}
	return ""
}

// models is the models on the hive's disk: a folder for each. The disk is the
// truth: whatever a person copies in or deletes counts at once. Only what was
// read of files that have not changed is remembered.
type models struct {
	dir  string
	hive string
	root *folder // dir
	// fetch says how to download.
	fetch fetch.Options
	// memory is how much a model may take to run that is chosen by itself, in bytes, and
	// what of the machine does not count in that; 0 sets no bound.
	memory func(context.Context) (bytes uint64, unused string)
	// usual is the engine of a worker for which nobody asks for another.
	usual func() string

	mu       sync.Mutex
	known    map[string]described // by id
	underway map[string]*download // by id
	sums     map[string]summed    // by path
	lent     map[string][]*loan   // by id

	wants     *wants // of other hives, through the queen
	askWithin time.Duration
}

// described is what was read of a model's file, and how that looked then.
type described struct {
	path  string
	size  int64
	mtime time.Time
	model ops.Model
	shape fit.Model   // what decides how much memory it takes
	eye   fs.FileInfo // the projector's file, or nil
	// refused is why the builtin engine cannot run it, or "".
	refused string
}

// openModels opens the folder and clears unfinished downloads away.
func openModels(dir, hive string) (*models, error) {
	root, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	m := &models{
		dir: dir, hive: hive, root: root, known: map[string]described{}, underway: map[string]*download{}, sums: map[string]summed{}, lent: map[string][]*loan{},
		memory: totalMemory, usual: func() string { return builtin }, wants: newWants(), askWithin: askWithin,
	}
	if err := m.clearPartial(); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return m, nil
}

// Close gives the folder up.
func (m *models) Close() error { return m.root.Close() }

// ids lists the folders that can be models, by name.
func (m *models) ids() []string {
	dir, err := m.root.OpenFile(".", os.O_RDONLY, 0)
	if err != nil {
		return nil // the folder was deleted: there are none
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	names = slices.DeleteFunc(names, func(name string) bool { return ops.CheckModelID(name) != nil })
	slices.Sort(names)
	return names
}

// list describes all models, by name, and after them what is none, or none yet,
// and may be taken for one.
func (m *models) list() []ops.Model {
	list := []ops.Model{}
	for _, id := range m.ids() {
		if model, err := m.get(id); err == nil {
			list = append(list, model)
		}
	}
	return append(list, m.others()...)
}

// get describes the model called id. What cannot be used is described too,
// with its Error; a folder without a GGUF file is no model.
func (m *models) get(id string) (ops.Model, error) {
	if err := ops.CheckModelID(id); err != nil {
		return ops.Model{}, err
	}
	name, info, err := m.file(id)
	if errors.Is(err, fs.ErrNotExist) {
		return ops.Model{}, m.missing(id)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		return m.unusable(id, err), nil
	}
	path := filepath.Join(m.dir, id, name)
	k, ok := m.known[id]
	if !ok || k.path != path || k.size != info.Size() || !k.mtime.Equal(info.ModTime()) {
		k = described{path: path, size: info.Size(), mtime: info.ModTime()}
		k.model, k.shape, k.refused = m.describe(id, path, info)
	}
	m.look(id, &k)
	m.known[id] = k
	if m.usual() == builtin && k.refused != "" {
		k.model.Refused, k.model.Hint = k.refused, m.otherEngine()
	}
	k.model.NotBuiltin = k.refused
	k.model.Memory, k.model.Pinned = usualMemory(k, m.usual()), m.pinned(id)
	if k.eye != nil {
		k.model.Abilities = append(slices.Clone(k.model.Abilities), ops.AbilityVision)
		k.model.Size += k.eye.Size()
	}
	return k.model, nil
}

// unusable describes a folder of which err tells that it holds no model that can be
// used.
func (m *models) unusable(id string, err error) ops.Model {
	model := ops.Model{ID: id, HiveID: m.hive, Source: copiedSource, Path: filepath.Join(m.dir, id), Error: err.Error(), Hint: m.mend(id, err)}
	if folder, err := m.root.Lstat(id); err == nil {
		model.AddedAt = folder.ModTime().UTC()
	}
	names, beside, _ := m.names(id) // what cannot be read has no size
	for _, name := range append(names, beside...) {
		if info, err := m.root.Lstat(filepath.Join(id, name)); err == nil && info.Mode().IsRegular() { // a link has no size to tell of
			model.Size += info.Size()
		}
	}
	return model
}

// otherEngine is what to do about a model that the builtin engine cannot run.
func (m *models) otherEngine() string {
	if m.usual() != builtin {
		return fmt.Sprintf("llama.cpp, which the hive has, may run it: leave the choice of the engine to the hive, unless `rbee engine list%s` says that it cannot be used", ops.HiveFlag(m.hive))
	}
	return fmt.Sprintf("`rbee engine install%s` brings llama.cpp, which may run it", ops.HiveFlag(m.hive))
}

// runnable refuses, before anything is loaded or brought here, a model as get describes
// it that the engine cannot run.
func (m *models) runnable(model ops.Model, engine string) error {
	if engine != builtin || model.NotBuiltin == "" {
		return nil
	}
	return ops.Errorf(ops.CodeUnsupported, "load %s: %s", model.ID, model.NotBuiltin).WithHint("%s", m.otherEngine())
}

// shape is what decides how much memory a model takes, which get has described.
func (m *models) shape(id string) fit.Model {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[id].shape
}

// file finds the GGUF file in a model's folder. A link that leads out of the
// models' folder is an error, as is more than one file.
func (m *models) file(id string) (name string, info fs.FileInfo, err error) {
	names, _, err := m.names(id)
	switch {
	case err != nil:
		return "", nil, err
	case len(names) == 0:
		return "", nil, fs.ErrNotExist
	case wholeSplit(names):
		return m.splitFile(id, names)
	case len(names) < partsOf(names[0]):
		return "", nil, lacking(names)
	case len(names) > 1:
		return "", nil, fmt.Errorf("%w: %s", errSeveral, strings.Join(names, ", "))
	}
	info, err = m.root.Stat(filepath.Join(id, names[0]))
	if err != nil {
		return "", nil, linkError(err)
	}
	return names[0], info, regular(names[0], info)
}

// linkError says of what cannot be opened inside the folder what a person
// understands. A link to nothing is as good as no file.
func linkError(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fs.ErrNotExist
	}
	if reason, ok := errors.AsType[syscall.Errno](err); ok {
		return fmt.Errorf("it cannot be opened: %w", reason)
	}
	return errLeadsOut // else os.Root opens everything
}

// errLeadsOut is the error of a link that is not followed.
var errLeadsOut = errors.New("it is a link that leads out of the models' folder")

// describe reads what the file and its manifest say.
func (m *models) describe(id, path string, info fs.FileInfo) (_ ops.Model, _ fit.Model, refused string) {
	model := ops.Model{ID: id, HiveID: m.hive, Size: info.Size(), Path: path, Source: copiedSource, AddedAt: info.ModTime().UTC()}
	if folder, err := m.root.Stat(id); err == nil { // a copy may keep its file's old time
		model.AddedAt = folder.ModTime().UTC()
	}
	shape := fit.Model{Weights: uint64(max(0, info.Size()))} //nolint:gosec // a size
	f, err := gguf.OpenWhole(path)
	if err == nil {
		defer f.Close() //nolint:errcheck // it was only read
		shape = fit.Read(f, info.Size())
		model.Architecture, model.Quantization = f.Architecture(), f.Quantization()
		model.Parameters = int64(f.Parameters()) //nolint:gosec // the file holds them
		model.Abilities = abilities(f)
		if err := engine.Refusal(f); err != nil {
			refused = err.Error()
		}
		if n, ok := f.Uint(model.Architecture + ".context_length"); ok {
			model.Context = int(min(n, 1<<53)) //nolint:gosec // bounded: what JSON has exactly
		}
	} else {
		model.Error, model.Hint = err.Error(), m.mend(id, err)
	}
	// A good file of another size is one that a person put in its place.
	if about := m.manifest(id); about.Source != "" && (about.Size == info.Size() || err != nil) {
		model.Source, model.SHA256, model.AddedAt = about.Source, about.SHA256, about.AddedAt
		if len(about.Files) > 1 {
			model.Files = about.Files
		}
	}
	return model, shape, refused
}

// manifest reads a model's manifest; it is zero where there is none.
func (m *models) manifest(id string) manifest {
	var about manifest
	f, _, err := m.openRegular(filepath.Join(id, manifestFile))
	if err != nil {
		return manifest{}
	}
	defer f.Close() //nolint:errcheck // it was only read
	if json.NewDecoder(f).Decode(&about) != nil {
		return manifest{}
	}
	return about
}

func (m *models) missing(id string) error {
	e := ops.Errorf(ops.CodeNotFound, "there is no model %q on hive %s", id, m.hive)
	ids := m.ids()
	if info, err := m.root.Lstat(id); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return ops.Errorf(ops.CodeNotFound, "%s is a link on hive %s that leads to no GGUF file", id, m.hive).
			WithHint("remove it, or put there what it should lead to: %s", filepath.Join(m.dir, id))
	}
	if slices.Contains(ids, id) { // a folder, and nothing in it that could be one
		return ops.Errorf(ops.CodeNotFound, "the folder %s of the models on hive %s holds no GGUF file", id, m.hive).
			WithHint("put one there, or remove the folder: %s", filepath.Join(m.dir, id))
	}
	ids = slices.DeleteFunc(ids, func(id string) bool {
		_, _, err := m.file(id)
		return errors.Is(err, fs.ErrNotExist) // nobody means an empty folder
	})
	if near := ops.Nearest(id, ids); near != "" {
		return e.WithHint("did you mean %q? `rbee model list` shows the models there are", near)
	}
	return e.WithHint("`rbee model list` shows the models there are, `rbee model download` brings another")
}

// choose returns the model called id; for "", the one that a person added
// last, or the built-in one.
func (m *models) choose(ctx context.Context, id string) (ops.Model, error) {
	if err := m.restore(); err != nil {
		return ops.Model{}, err
	}
	if id != "" {
		return m.named(id)
	}
	var best ops.Model
	for _, model := range m.list() {
		if model.Error == "" && model.Refused == "" && model.Source != ops.BuiltInSource && (best.ID == "" || model.AddedAt.After(best.AddedAt)) {
			best = model
		}
	}
	if best.ID != "" {
		ops.Narrate(ctx, "model_choose", "no model was named: taking %s, the one added last that can run", best.ID)
		return best, nil
	}
	return usable(m.get(testdata.TinybeeName))
}

// named returns the model called id, which can be used.
func (m *models) named(id string) (ops.Model, error) {
	model, err := m.get(id)
	if ops.CodeOf(err) == ops.CodeInvalid {
		err = m.missing(id) // whatever it is, it names no model
	}
	if other, ok := m.other(id); err != nil && ok {
		model, err = other, nil
	}
	return usable(model, err)
}

func usable(model ops.Model, err error) (ops.Model, error) {
	if err == nil && model.Error != "" {
		return model, ops.Errorf(ops.CodeConflict, "the model %s cannot be used: %s", model.ID, model.Error).
			WithHint("%s", model.Hint)
	}
	return model, err
}

// remove deletes a model's folder.
func (m *models) remove(id string) error {
	root, err := m.root.now()
	if err == nil {
		err = root.RemoveAll(id)
	}
	if err != nil {
		return fmt.Errorf("delete the model %s: %w", id, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.known, id)
	return nil
}
