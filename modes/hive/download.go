package hive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/ops"
)

// download is one that is under way, for those who ask for the same.
type download struct {
	done  chan struct{}
	model ops.Model
	err   error
}

// download brings the file at source, an absolute path or an http(s) URL, into
// the store under id, or under its own name for "".
func (m *models) download(ctx context.Context, source, id string) (ops.Model, error) {
	if id == "" {
		id = nameOf(source)
	}
	if err := ops.CheckModelID(id); err != nil {
		return ops.Model{}, ops.Invalid("id", "no name can be made of %q", source).WithHint("name the model: --name NAME")
	}
	m.mu.Lock()
	if d, ok := m.underway[id]; ok {
		m.mu.Unlock()
		return m.await(ctx, id, d)
	}
	d := &download{done: make(chan struct{})}
	m.underway[id] = d
	m.mu.Unlock()
	d.model, d.err = m.bring(ctx, source, id)
	m.mu.Lock()
	delete(m.underway, id)
	m.mu.Unlock()
	close(d.done)
	return d.model, d.err
}

// await waits for a download that somebody else asked for.
func (m *models) await(ctx context.Context, id string, d *download) (ops.Model, error) {
	ops.Narrate(ctx, "model_wait", "the model %s is being downloaded already; waiting for it", id)
	select {
	case <-d.done:
		return d.model, d.err
	case <-ctx.Done():
		return ops.Model{}, context.Cause(ctx)
	}
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// nameOf makes a model's name of where it comes from: the file's, without
// .gguf.
func nameOf(source string) string {
	name := source
	if u, err := url.Parse(source); err == nil && u.Scheme != "" {
		name = u.Path
	}
	name = path.Base(filepath.ToSlash(name))
	if ext := path.Ext(name); strings.EqualFold(ext, ".gguf") {
		name = strings.TrimSuffix(name, ext)
	}
	return strings.Trim(notInNames.ReplaceAllString(name, "-"), ".-_")
}

// bring copies the source into a folder of its own, checks it there, and only
// then gives it the model's name.
func (m *models) bring(ctx context.Context, source, id string) (ops.Model, error) {
	if old, err := m.get(id); err == nil {
		if old.Source == source && old.Error == "" {
			ops.Narrate(ctx, "model_present", "the model %s is here already", id)
			return old, nil
		}
		return ops.Model{}, ops.Errorf(ops.CodeConflict, "there is a model %s already, from %s", id, old.Source).
			WithHint("choose another name with --name, or `rbee model delete %s` first", id)
	}
	in, size, err := openSource(ctx, source)
	if err != nil {
		return ops.Model{}, err
	}
	defer in.Close()
	temp, err := os.MkdirTemp(m.dir, partial)
	if err != nil {
		return ops.Model{}, ops.Errorf(ops.CodeInternal, "make a folder for the model: %w", err)
	}
	sum, err := m.copy(ctx, in, size, filepath.Join(temp, modelFile), id)
	if err == nil {
		err = checkModel(filepath.Join(temp, modelFile), source)
	}
	if err == nil {
		err = m.settle(temp, id, manifest{Source: source, SHA256: sum, AddedAt: time.Now().UTC()})
	}
	if err != nil {
		return ops.Model{}, errors.Join(err, os.RemoveAll(temp))
	}
	ops.Narrate(ctx, "model_ready", "the model %s is on hive %s", id, m.hive)
	return m.get(id)
}

// openSource opens a file or begins a download. The size is -1 when nobody
// says.
func openSource(ctx context.Context, source string) (io.ReadCloser, int64, error) {
	if strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://") {
		return openURL(ctx, source)
	}
	if !filepath.IsAbs(source) {
		return nil, 0, ops.Invalid("model", "must be an absolute path or an http(s) URL, got %q", source)
	}
	f, err := os.Open(source)
	if err != nil {
		code := ops.CodeInvalid
		if errors.Is(err, os.ErrNotExist) {
			code = ops.CodeNotFound
		}
		return nil, 0, ops.Errorf(code, "open the model's file: %w", err)
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, 0, errors.Join(ops.Invalid("model", "%s is no regular file", source), err, f.Close())
	}
	return f, info.Size(), nil
}

func openURL(ctx context.Context, source string) (io.ReadCloser, int64, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return nil, 0, ops.Invalid("model", "%q is no URL: %w", source, err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return nil, 0, context.Cause(ctx)
		}
		return nil, 0, ops.Errorf(ops.CodeUnavailable, "download the model: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		code := ops.CodeUnavailable
		switch answer.StatusCode {
		case http.StatusNotFound, http.StatusGone:
			code = ops.CodeNotFound
		case http.StatusUnauthorized, http.StatusForbidden:
			code = ops.CodeDenied
		}
		err := ops.Errorf(code, "download the model: %s answered %s", r.URL.Host, answer.Status)
		return nil, 0, errors.Join(err, answer.Body.Close())
	}
	return answer.Body, answer.ContentLength, nil
}

// copy writes the source to path, with progress, and returns its SHA-256.
func (m *models) copy(ctx context.Context, in io.Reader, size int64, path, id string) (string, error) {
	if free, ok := diskFree(m.dir); ok && size > 0 && uint64(size) > free {
		return "", ops.Errorf(ops.CodeConflict, "the model takes %d bytes, and the disk of %s has %d free", size, m.dir, free)
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	done, err := copyWithProgress(ctx, io.MultiWriter(out, sum), in, size, id)
	if err == nil && size >= 0 && done != size {
		err = ops.Errorf(ops.CodeUnavailable, "the download broke off at %d of %d bytes", done, size)
	}
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func copyWithProgress(ctx context.Context, out io.Writer, in io.Reader, size int64, id string) (int64, error) {
	buf := make([]byte, 256<<10)
	var done int64
	for ctx.Err() == nil {
		n, err := in.Read(buf)
		if n > 0 {
			if _, err := out.Write(buf[:n]); err != nil {
				return done, ops.Errorf(ops.CodeInternal, "write the model %s: %w", id, err)
			}
			done += int64(n)
			ops.Progress(ctx, "model_download", done, max(0, size), "bytes")
		}
		if errors.Is(err, io.EOF) {
			return done, nil
		}
		if err != nil && ctx.Err() == nil {
			return done, ops.Errorf(ops.CodeUnavailable, "download the model %s: %w", id, err)
		}
	}
	return done, context.Cause(ctx)
}

// checkModel refuses a file that is no model before it gets a model's name.
func checkModel(path, source string) error {
	f, err := gguf.Open(path)
	if err == nil {
		return f.Close()
	}
	if _, ok := errors.AsType[*gguf.Error](err); ok {
		return ops.Errorf(ops.CodeInvalid, "%s is no model: %w", source, err)
	}
	return fmt.Errorf("check the model: %w", err)
}
