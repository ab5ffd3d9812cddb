package hive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
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
	source string
	done   chan struct{}
	model  ops.Model
	err    error
}

// download brings the file at source, an absolute path or an http(s) URL, into
// the folder under id, or under its own name for "". Those who ask for the same
// at the same time wait for one download.
func (m *models) download(ctx context.Context, source, id string) (ops.Model, error) {
	if id == "" {
		id = nameOf(source)
	}
	if err := ops.CheckModelID(id); err != nil {
		return ops.Model{}, ops.Invalid("id", "no name can be made of %q", source).WithHint("name the model: --name NAME")
	}
	for {
		m.mu.Lock()
		d, ok := m.underway[id]
		if !ok {
			d = &download{source: source, done: make(chan struct{})}
			m.underway[id] = d
			m.mu.Unlock()
			return m.lead(ctx, d, id)
		}
		m.mu.Unlock()
		if model, err := m.await(ctx, d, id, source); !errors.Is(err, errGivenUp) {
			return model, err
		}
	}
}

// lead does the download that others may wait for.
func (m *models) lead(ctx context.Context, d *download, id string) (ops.Model, error) {
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.underway, id)
		close(d.done)
	}()
	d.err = errors.New("the download was not finished") // should bring panic
	d.model, d.err = m.bring(ctx, d.source, id)
	return d.model, d.err
}

// await waits for a download that somebody else leads. It gives errGivenUp when
// that one was cancelled, and this caller should lead.
func (m *models) await(ctx context.Context, d *download, id, source string) (ops.Model, error) {
	if d.source != source {
		return ops.Model{}, ops.Errorf(ops.CodeConflict, "another model is being downloaded as %s, from %s", id, shown(d.source)).
			WithHint("choose another name with --name")
	}
	ops.Narrate(ctx, "model_wait", "%s is being downloaded already: waiting for it", id)
	select {
	case <-d.done:
	case <-ctx.Done():
		return ops.Model{}, context.Cause(ctx)
	}
	if ops.CodeOf(d.err) == ops.CodeCancelled || errors.Is(d.err, ops.ErrDetached) {
		return ops.Model{}, errGivenUp
	}
	return d.model, d.err
}

// errGivenUp says that whoever led a download was cancelled.
var errGivenUp = errors.New("the download was given up")

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
	name = strings.ReplaceAll(notInNames.ReplaceAllString(name, "-"), "..", ".")
	return strings.Trim(name, ".-_")
}

// bring copies the source into a folder of its own, checks it there, and only
// then gives it the model's name.
func (m *models) bring(ctx context.Context, source, id string) (_ ops.Model, err error) {
	if old, err := m.get(id); err == nil {
		if old.Source == shown(source) && old.Error == "" {
			ops.Narrate(ctx, "model_present", "the model %s is here already", id)
			return old, nil
		}
		return ops.Model{}, ops.Errorf(ops.CodeConflict, "there is a model %s already (%s)", id, old.Source).
			WithHint("choose another name with --name, or `rbee model delete %s` first", id)
	}
	s, err := openSource(ctx, source)
	if err != nil {
		return ops.Model{}, err
	}
	defer s.Close()
	if free, ok := diskFree(m.dir); ok && s.size > 0 && uint64(s.size) > free {
		return ops.Model{}, ops.Errorf(ops.CodeConflict, "the model takes %s, and the disk has %s free", humanBytes(uint64(s.size)), humanBytes(free)).
			WithHint("make room on the disk of %s", m.dir)
	}
	temp, err := os.MkdirTemp(m.dir, partial)
	if err != nil {
		return ops.Model{}, ops.Errorf(ops.CodeInternal, "make a folder for the model: %w", err)
	}
	ops.Narrate(ctx, "model_download", "bringing the model %s from %s", id, shown(source))
	about := manifest{Source: shown(source), AddedAt: time.Now().UTC()}
	file := filepath.Join(temp, modelFile)
	if about.Size, about.SHA256, err = save(ctx, s, file); err == nil {
		err = checkModel(file, shown(source))
	}
	if err == nil {
		err = m.settle(temp, id, about)
	}
	if err != nil {
		return ops.Model{}, also(err, os.RemoveAll(temp))
	}
	ops.Narrate(ctx, "model_ready", "the model %s is on hive %s", id, m.hive)
	return m.get(id)
}

// also is err, joined by what went wrong in cleaning up, if anything did.
func also(err, cleanup error) error {
	if cleanup == nil {
		return err
	}
	return errors.Join(err, cleanup)
}

// save writes the source to path, with progress, and returns its size and
// SHA-256.
func save(ctx context.Context, s *source, path string) (size int64, sum string, err error) {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, "", fmt.Errorf("write the model: %w", err)
	}
	digest := sha256.New()
	size, err = copyTo(ctx, io.MultiWriter(out, digest), s)
	if err == nil {
		err = out.Sync()
	}
	closed := out.Close()
	if err == nil {
		err = closed
	}
	if err != nil {
		return 0, "", err
	}
	return size, hex.EncodeToString(digest.Sum(nil)), nil
}

func copyTo(ctx context.Context, out io.Writer, s *source) (int64, error) {
	buf := make([]byte, 256<<10)
	var done int64
	for ctx.Err() == nil {
		n, err := s.Read(buf)
		if n > 0 {
			if _, err := out.Write(buf[:n]); err != nil {
				return done, ops.Errorf(ops.CodeUnavailable, "write the model: %w", err).
					WithHint("nothing is kept of it; make room on the disk of the models' folder and try again")
			}
			done += int64(n)
			ops.Progress(ctx, "model_download", done, max(0, s.size), "bytes")
		}
		switch {
		case errors.Is(err, io.EOF) && s.size >= 0 && done != s.size:
			return done, ops.Errorf(ops.CodeUnavailable, "the model broke off at %d of %d bytes", done, s.size)
		case errors.Is(err, io.EOF):
			return done, nil
		case err != nil && ctx.Err() == nil:
			return done, ops.Errorf(ops.CodeUnavailable, "the model broke off at %d bytes: %w", done, err)
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
		return ops.Invalid("model", "%s is no model: %w", source, err)
	}
	return fmt.Errorf("check the model: %w", err)
}
