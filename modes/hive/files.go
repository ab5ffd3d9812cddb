package hive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"rbee.dev/rbee/ops"
)

// names lists a model's GGUF files by name: those of the model itself, and those
// that belong to it, as the projector by which llama.cpp makes it see.
func (m *models) names(id string) (model, beside []string, err error) {
	dir, err := m.root.OpenFile(id, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe in a folder's place would be waited for
	if err != nil {
		return nil, nil, linkError(err)
	}
	defer dir.Close()
	all, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, nil, fs.ErrNotExist // no folder
	}
	slices.Sort(all)
	for _, name := range all {
		switch {
		case !strings.EqualFold(filepath.Ext(name), ".gguf"):
		case isProjector(name):
			beside = append(beside, name)
		default:
			model = append(model, name)
		}
	}
	if len(model) == 0 { // a projector alone is what a person has put there
		return beside, nil, nil
	}
	return model, beside, nil
}

// isProjector says whether a file is one by its name, as all makers give it.
func isProjector(name string) bool { return strings.HasPrefix(strings.ToLower(name), "mmproj") }

// summed is a file's sum, and how the file looked when it was computed.
type summed struct {
	size  int64
	mtime time.Time
	sum   string
}

// files lists a model's files for another hive. Sums are those that are known.
func (m *models) files(id string) (ops.ModelFiles, error) {
	model, err := m.named(id)
	if err != nil {
		return ops.ModelFiles{}, err
	}
	names, beside, err := m.names(id)
	if err != nil {
		return ops.ModelFiles{}, err
	}
	list := ops.ModelFiles{Source: model.Source}
	about := m.manifest(id)
	for _, name := range append(names, beside...) {
		info, err := m.root.Stat(filepath.Join(id, name))
		if err != nil {
			return ops.ModelFiles{}, linkError(err)
		}
		f, mark := ops.FileSum{Name: name, Size: info.Size()}, ""
		if model.SHA256 != "" && len(names) == 1 && name == names[0] {
			f.SHA256 = model.SHA256
		}
		for i, known := range about.Files {
			if model.Source == about.Source && known.Name == name && known.Size == info.Size() {
				f.SHA256, mark = known.SHA256, about.stamp(i)
			}
		}
		list.Files, list.Marks = append(list.Files, f), append(list.Marks, mark)
	}
	return list, nil
}

// open opens a file that files lists.
func (m *models) open(id, name string) (*os.File, fs.FileInfo, error) {
	if err := ops.CheckModelID(id); err != nil {
		return nil, nil, err
	}
	model, beside, err := m.names(id)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	if !slices.Contains(append(model, beside...), name) {
		return nil, nil, ops.Errorf(ops.CodeNotFound, "the model %s on hive %s has no file %q", id, m.hive, name)
	}
	return m.openRegular(filepath.Join(id, name))
}

// openRegular opens a regular file below the models' folder, and waits for
// nothing: who opens a pipe would stand until somebody writes to it.
func (m *models) openRegular(path string) (*os.File, fs.FileInfo, error) {
	f, err := m.root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, linkError(err)
	}
	info, err := f.Stat()
	if err == nil {
		err = regular(path, info)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// regular refuses what is no file to read from, as a pipe or a folder.
func regular(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file", filepath.Base(path))
	}
	return nil
}

// serveFiles answers with a model's files, one of them or a part of it, or its
// sum, and takes in that no more of them is wanted.
func (m *models) serveFiles(w http.ResponseWriter, r *http.Request) {
	id, name, one := strings.Cut(strings.TrimPrefix(r.URL.Path, ops.FilesPath), "/")
	q := r.URL.Query()
	if q.Has("over") {
		m.takeBack(id, q.Get("for"), q.Get("job"))
		answer(w, struct{}{}, nil)
		return
	}
	if !one {
		list, err := m.files(id)
		answer(w, list, err)
		return
	}
	f, info, err := m.open(id, name)
	if err != nil {
		answer(w, nil, err)
		return
	}
	defer f.Close() //nolint:errcheck // it was only read
	defer m.lend(id, q.Get("for"), q.Get("job"))()
	if q.Get("sum") != "" {
		sum, err := m.sum(r.Context(), f, info)
		answer(w, ops.FileSum{Name: name, Size: info.Size(), SHA256: sum}, err)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.Size(), info.ModTime().UnixNano()))
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, f)
}

// sum is a file's SHA-256, which is remembered for as long as the file looks the
// same.
func (m *models) sum(ctx context.Context, f *os.File, info fs.FileInfo) (string, error) {
	m.mu.Lock()
	known := m.sums[f.Name()]
	m.mu.Unlock()
	if known.sum != "" && known.size == info.Size() && known.mtime.Equal(info.ModTime()) {
		return known.sum, nil
	}
	h := sha256.New()
	for ctx.Err() == nil {
		switch _, err := io.CopyN(h, f, 4<<20); {
		case errors.Is(err, io.EOF):
			known = summed{info.Size(), info.ModTime(), hex.EncodeToString(h.Sum(nil))}
			m.mu.Lock()
			defer m.mu.Unlock()
			m.sums[f.Name()] = known
			return known.sum, nil
		case err != nil:
			return "", fmt.Errorf("read the model: %w", err)
		}
	}
	return "", context.Cause(ctx)
}

// answer answers with value, or with err.
func answer(w http.ResponseWriter, value any, err error) {
	if err != nil {
		refuse(w, ops.AsError(err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // the client may be gone
}
