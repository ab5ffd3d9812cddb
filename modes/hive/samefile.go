package hive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// linkHere gives p's files that this hive has already, as files of other models, their
// names in the folder temp: by a link, so that they take no room again. They are known
// by their sums, which are computed anew: a file may have been damaged since. It
// returns those files by name.
func (m *models) linkHere(ctx context.Context, d *download, p plan, temp string) (map[string]fetch.Result, error) {
	linked := map[string]fetch.Result{}
	p, marks := d.learnt(m, p)
	for i, file := range p.files {
		at := filepath.Join(temp, p.names[i])
		if info, err := os.Lstat(at); err == nil && isShared(info) { // of an earlier try; to write there would change the other
			if err := os.Remove(at); err != nil {
				return nil, fmt.Errorf("make room for %s: %w", p.names[i], err)
			}
		}
		id, name, ok := m.withSum(file)
		if !ok {
			continue
		}
		sum, err := m.sumOf(ctx, id, name)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil || sum != file.SHA256 || fetch.Discard(at) != nil || os.Link(filepath.Join(m.dir, id, name), at) != nil {
			continue // it is fetched, as any
		}
		what := "the very file"
		if len(p.files) > 1 {
			what = p.names[i]
		}
		ops.Narrate(ctx, "model_link", "%s is here already, by its SHA-256, as one of the model %s: taking that", what, id)
		linked[p.names[i]] = fetch.Result{Size: file.Size, SHA256: sum, Validator: marks[sum]}
	}
	return linked, nil
}

// isSame reports whether two files are the same one: by their sums, or of servers that
// tell none by where they are, for as long as a download takes.
func isSame(a, b fetch.File) bool {
	return a.SHA256 == b.SHA256 && (a.SHA256 != "" || a.URL == b.URL)
}

// bringing lists the downloads under way that bring any of the files. The caller holds
// the lock.
func (m *models) bringing(files []fetch.File) (list []*download) {
	for _, d := range m.underway {
		if slices.ContainsFunc(d.files, func(there fetch.File) bool {
			return slices.ContainsFunc(files, func(f fetch.File) bool { return isSame(f, there) })
		}) {
			list = append(list, d)
		}
	}
	return list
}

// awaitOthers waits for those downloads that bring some of the same files under other
// names and were first, so that these come once; where one fails, this one goes on.
func (d *download) awaitOthers(ctx context.Context) error {
	for _, first := range d.before {
		select {
		case <-first.done:
			continue
		default:
		}
		ops.Narrate(ctx, "model_wait", "the very file is being downloaded already, as the model %s: waiting for it", first.id)
		first.follow(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// learnt are the files of p with the sums that nobody told of them: those of the downloads
// that were awaited and have brought them. marks are the server's, by the files' sums.
func (d *download) learnt(m *models, p plan) (_ plan, marks map[string]string) {
	p.files, marks = slices.Clone(p.files), map[string]string{}
	for _, first := range d.before {
		about := m.manifest(first.model.ID)
		if first.err != nil || len(about.Files) != len(first.files) || len(about.Stamps) != len(first.files) {
			continue
		}
		for i, brought := range first.files {
			for j, file := range p.files {
				if file.SHA256 == "" && isSame(file, brought) {
					p.files[j].Size, p.files[j].SHA256 = about.Files[i].Size, about.Files[i].SHA256
					marks[about.Files[i].SHA256] = about.Stamps[i]
				}
			}
		}
	}
	return p, marks
}

// withSum finds a model with a file that is to be the one given, by its sum.
func (m *models) withSum(file fetch.File) (id, name string, ok bool) {
	if file.SHA256 == "" {
		return "", "", false
	}
	for _, id := range m.ids() {
		list, err := m.files(id)
		if err != nil {
			continue
		}
		for _, f := range list.Files {
			if f.SHA256 != file.SHA256 || f.Size != file.Size {
				continue
			}
			if info, err := m.root.Lstat(filepath.Join(id, f.Name)); err == nil && info.Mode().IsRegular() {
				return id, f.Name, true
			}
		}
	}
	return "", "", false
}

// sumOf is the SHA-256 of a model's file as it is now.
func (m *models) sumOf(ctx context.Context, id, name string) (sum string, err error) {
	f, info, err := m.open(id, name)
	if err != nil {
		return "", err
	}
	sum, err = m.sum(ctx, f, info)
	return sum, errors.Join(err, f.Close())
}

// shared is how much of a model's size is that of files which other models have too,
// in bytes: it is not free once the model is deleted.
func (m *models) shared(id string) (size int64) {
	root, err := m.root.now()
	if err != nil {
		return 0
	}
	_ = fs.WalkDir(root.FS(), id, func(_ string, e fs.DirEntry, err error) error { // what cannot be read is not shared
		if err != nil {
			return nil //nolint:nilerr // likewise
		}
		if info, err := e.Info(); err == nil && isShared(info) {
			size += info.Size()
		}
		return nil
	})
	return size
}

// isShared reports whether a file has another name, too.
func isShared(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode().IsRegular() && s.Nlink > 1
}
