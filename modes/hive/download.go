package hive

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// download is one that is under way, for those who ask for the same.
type download struct {
	id, source  string
	files       []fetch.File // on a server
	before      []*download  // that were under way already and bring some of the same files
	job         string       // of who leads it, for others to end it by, or ""
	have, total atomic.Int64 // bytes; total is -1 while nobody knows
	done        chan struct{}
	brought     bool // and not found to be here already
	model       ops.Model
	err         error
}

// download brings what source means, an absolute path or a URL, into the
// folder under id, or under its own name for "". Those who ask for the same at
// the same time follow one download.
func (m *models) download(ctx context.Context, source, id string) (ops.Model, error) {
	options := m.fetch
	options.Schemes = map[string]http.RoundTripper{hiveScheme: m.wants}
	f := fetch.New(options)
	defer f.Close()
	p, err := m.resolveOr(ctx, f, source)
	if err != nil {
		return ops.Model{}, err
	}
	if id == "" {
		id = p.name
	}
	if err := ops.CheckModelID(id); err != nil {
		return ops.Model{}, ops.Invalid("id", "no name can be made of %q", p.source).WithHint("name the model: --name NAME")
	}
	for {
		m.mu.Lock()
		d, ok := m.underway[id]
		if !ok {
			d = &download{id: id, source: p.source, files: p.files, before: m.bringing(p.files), job: jobOf(ctx), done: make(chan struct{})}
			m.underway[id] = d
			m.mu.Unlock()
			return m.lead(ctx, f, d, p, id)
		}
		m.mu.Unlock()
		if model, err := m.await(ctx, d, id, p.source); !errors.Is(err, errGivenUp) {
			return model, err
		}
	}
}

// lead does the download that others may follow.
func (m *models) lead(ctx context.Context, f *fetch.Fetcher, d *download, p plan, id string) (ops.Model, error) {
	var meter sync.WaitGroup
	meter.Go(func() { d.follow(ctx) })
	func() {
		defer func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			delete(m.underway, id)
			close(d.done)
		}()
		d.err = errors.New("the download was not finished") // should bring panic
		d.model, d.err = m.bring(ctx, f, d, p, id)
		d.err = fetch.NoRoom(d.err, "the model "+id, m.dir)
	}()
	meter.Wait() // the bar is whole before the news
	if d.brought {
		ops.Narrate(ctx, "model_ready", "the model %s is on hive %s", id, m.hive)
	}
	if d.brought && d.model.Refused != "" {
		ops.Warn(ctx, "model_refused", "%s; %s", d.model.Refused, d.model.Hint)
	}
	return d.model, d.err
}

// await follows a download that somebody else leads. It gives errGivenUp when
// that one was cancelled, and this caller should lead.
func (m *models) await(ctx context.Context, d *download, id, source string) (ops.Model, error) {
	if d.source != source {
		return ops.Model{}, ops.Errorf(ops.CodeConflict, "another model is being downloaded as %s, from %s", id, d.source).
			WithHint("choose another name with --name")
	}
	ops.Narrate(ctx, "model_wait", "%s is being downloaded already: waiting for it", id)
	d.follow(ctx)
	if ctx.Err() != nil {
		return ops.Model{}, context.Cause(ctx)
	}
	if ops.CodeOf(d.err) == ops.CodeCancelled || errors.Is(d.err, ops.ErrDetached) {
		return ops.Model{}, errGivenUp
	}
	return d.model, d.err
}

// errGivenUp says that whoever led a download was cancelled.
var errGivenUp = errors.New("the download was given up")

// tellEvery is how often progress is told.
const tellEvery = 100 * time.Millisecond

// follow tells the context's job how far the download is, until it ends.
func (d *download) follow(ctx context.Context) {
	ticker := time.NewTicker(tellEvery)
	defer ticker.Stop()
	told := int64(0)
	tell := func() {
		if have := d.have.Load(); have != told {
			told = have
			ops.Progress(ctx, "model_download", have, max(0, d.total.Load()), "bytes")
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.done:
			tell()
			return
		case <-ticker.C:
			tell()
		}
	}
}

// bring copies the source into a folder of its own, checks it there, and only
// then gives it the model's name.
func (m *models) bring(ctx context.Context, f *fetch.Fetcher, d *download, p plan, id string) (ops.Model, error) {
	if old, err := m.get(id); err == nil {
		if old.Error == "" && (old.Source == p.source || m.same(id, p)) {
			return m.present(ctx, f, old, p)
		}
		return ops.Model{}, ops.Errorf(ops.CodeConflict, "there is a model %s already (%s)", id, old.Source).
			WithHint("choose another name with --name, or `%s` first", m.line("delete", id))
	}
	if err := p.complete(); err != nil {
		return ops.Model{}, err
	}
	if p.choice != "" {
		ops.Narrate(ctx, "model_choose", "%s", p.choice)
	}
	if err := m.root.make(); err != nil {
		return ops.Model{}, err
	}
	if err := m.clearPartial(); err != nil {
		return ops.Model{}, err
	}
	temp, err := m.partialFolder(ctx, id, p.source, p.size())
	if err != nil {
		return ops.Model{}, err
	}
	about := manifest{Source: p.source}
	if len(p.paths) > 0 {
		err = m.copyFiles(ctx, d, p, temp, id, &about)
	} else {
		err = m.fetchNearest(ctx, f, d, p, temp, id, &about)
	}
	if err != nil {
		return ops.Model{}, m.leave(ctx, temp, id, err)
	}
	err = checkModel(filepath.Join(temp, p.names[0]), p.source, len(p.names))
	if err == nil {
		about.AddedAt = time.Now().UTC()
		err = m.settle(temp, id, about)
	}
	if err != nil {
		return ops.Model{}, also(err, os.RemoveAll(temp))
	}
	d.brought = true
	return m.get(id)
}

// leave ends a download that failed with err. It says what is kept of it, unless
// it goes on by itself.
func (m *models) leave(ctx context.Context, temp, id string, err error) error {
	if failed := clearUseless(temp); failed != nil {
		return errors.Join(err, failed)
	}
	if have, _ := begun(temp); have > 0 && !errors.Is(err, ops.ErrDetached) {
		ops.Narrate(ctx, "model_kept", "%s of it are kept for a week: the same command goes on from there, unless the file has changed by then, and `%s` removes it",
			humanBytes(uint64(have)), m.line("delete", id)) //nolint:gosec // not negative
	}
	return err
}

// copyFiles copies a model's files from elsewhere on this machine.
func (m *models) copyFiles(ctx context.Context, d *download, p plan, temp, id string, about *manifest) error {
	all := int64(0)
	for i, from := range p.paths {
		in, size, err := openFile(from)
		if ops.CodeOf(err) == ops.CodeNotFound && m.hive != ops.LocalHive {
			err = ops.AsError(err).WithHint("a path is one on the machine of hive %s; a file of another machine goes to the hive there first, "+
				"and then `rbee model copy NAME --to %s` brings it", m.hive, m.hive)
		}
		if err != nil && len(p.paths) > 1 {
			return fmt.Errorf("part %d of %d of the model: %w", i+1, len(p.paths), err)
		} else if err != nil {
			return err
		}
		_ = in.Close() // it was only looked at
		all += size
	}
	if err := fetch.CheckRoom(m.dir, all); err != nil {
		return err
	}
	ops.Narrate(ctx, "model_download", "bringing the model %s from %s", id, p.source)
	d.total.Store(all)
	for i, from := range p.paths {
		before := d.have.Load()
		in, _, err := openFile(from)
		if err != nil {
			return err
		}
		info, err := in.Stat()
		if err != nil {
			return errors.Join(err, in.Close())
		}
		got := fetch.Result{Validator: mtime(info)}
		got.Size, got.SHA256, err = fetch.Copy(ctx, in, filepath.Join(temp, p.names[i]), func(done int64) { d.have.Store(before + done) })
		_ = in.Close() // it was only read
		if err != nil {
			return err
		}
		about.add(p.names[i], got)
	}
	return nil
}

// fetchFiles downloads a model's files but those that were linked, and goes on where
// an earlier download of the same was cut.
func (m *models) fetchFiles(ctx context.Context, f *fetch.Fetcher, d *download, p plan, linked map[string]fetch.Result, temp, id string, about *manifest) error {
	from := p.source
	if p.hive != "" {
		from = "hive " + p.hive
		defer m.giveBack(ctx, p)
	}
	if len(linked) < len(p.files) {
		ops.Narrate(ctx, "model_download", "bringing the model %s from %s", id, from)
	}
	all, missing, here := p.size(), int64(0), int64(0)
	for i, file := range p.files {
		if _, ok := linked[p.names[i]]; ok {
			continue
		}
		have := fetch.Have(filepath.Join(temp, p.names[i]), file)
		here, missing = here+have, missing+file.Size-have
	}
	fetch.TellHere(ctx, here)
	if err := fetch.CheckRoom(m.dir, missing); err != nil {
		return err
	}
	before := int64(0)
	for i, file := range p.files {
		if got, ok := linked[p.names[i]]; ok {
			before += got.Size
			about.add(p.names[i], got)
			continue
		}
		got, err := m.fetchChecked(ctx, f, file, filepath.Join(temp, p.names[i]), func(done, total int64) {
			if len(p.files) > 1 {
				total = all
			}
			d.total.Store(total)
			d.have.Store(before + done)
		})
		if p.hive != "" && ops.CodeOf(err) == ops.CodeNotFound {
			return ops.Errorf(ops.CodeUnavailable, "the model is gone from hive %s: %w", p.hive, err).
				WithHint("`rbee model list` shows which hives have it")
		}
		if err != nil {
			return err
		}
		before += got.Size
		if p.hive != "" { // whose own marks say nothing of the source's
			got.Validator = p.marks[i]
		}
		about.add(p.names[i], got)
	}
	return nil
}

// add notes a file that came. Size and SHA256 are of the model itself; a split one
// has a sum for each part only.
func (a *manifest) add(name string, got fetch.Result) {
	a.Files = append(a.Files, ops.FileSum{Name: name, Size: got.Size, SHA256: got.SHA256})
	a.Stamps = append(a.Stamps, got.Validator)
	if isProjector(name) && a.Size > 0 {
		return
	}
	a.SHA256 = got.SHA256
	if a.Size += got.Size; a.Size != got.Size {
		a.SHA256 = ""
	}
}

// also is err, joined by what went wrong in cleaning up, if anything did.
func also(err, cleanup error) error {
	if cleanup == nil {
		return err
	}
	return errors.Join(err, cleanup)
}

// checkPart refuses a file that came alone and is a part of a model.
func checkPart(path, source string) error {
	f, err := gguf.Open(path)
	if err != nil {
		return nil //nolint:nilerr // checkModel says what is wrong
	}
	defer f.Close() //nolint:errcheck // it was only read
	if parts, _ := f.Uint("split.count"); parts > 1 {
		return ops.Invalid("model", "%s is one of %d parts of a model, and does not say by its name where the others are", source, parts).
			WithHint("name the parts as gguf-split does, NAME-00001-of-%05d.gguf, all beside each other", parts)
	}
	return nil
}

// checkModel refuses what is no model before it gets a model's name: the first of
// so many files.
func checkModel(path, source string, files int) error {
	if files == 1 {
		if err := checkPart(path, source); err != nil {
			return err
		}
	}
	f, err := gguf.OpenWhole(path)
	if err == nil {
		return f.Close()
	}
	if _, ok := errors.AsType[*gguf.Error](err); ok && filepath.IsAbs(source) {
		return ops.Invalid("model", "%s is %w", source, err).
			WithHint("the file is damaged or has not come whole, or is of a newer kind than rbee knows: get it again from where it came from")
	} else if ok {
		return ops.Errorf(ops.CodeUnavailable, "what came from %s is %w", source, err).
			WithHint("the file is damaged or cut short where it comes from, or of a newer kind than rbee knows: take another")
	}
	return fmt.Errorf("check the model: %w", err)
}
