package hive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// plan is what a reference to a model means.
type plan struct {
	source string       // what the manifest says, without a password
	name   string       // that the model gets unless a person chooses another
	paths  []string     // on this machine, in the order of a split model's parts
	files  []fetch.File // on a server, in the order of a split model's parts
	names  []string     // that they get in the model's folder
	hive   string       // that they come from, or ""
	marks  []string     // of the source's for what that hive has, "" where they are not known
	choice string       // says why they do where that is worth a word once they come, or ""
}

// size is how many bytes the files are, or 0.
func (p plan) size() (sum int64) {
	for _, f := range p.files {
		if f.Size < 0 {
			return 0
		}
		sum += f.Size
	}
	return sum
}

// complete is an error where the plan's URL is one as it is shown: what is asked for
// without its password would not be given, and what has come with it be lost.
func (p plan) complete() error {
	if len(p.files) == 0 || !ops.IsRedacted(p.files[0].URL) {
		return nil
	}
	return ops.Invalid("model", "is %s, in which xxxxx stands for a password or token that is not shown", p.source).
		WithHint("give the same command with the password or token in place of xxxxx")
}

// magic is how a GGUF file begins.
const magic = "GGUF"

// resolve finds out what a reference means: an absolute path, an http(s) URL,
// another hive's model, or a repository on Hugging Face, of which it takes what
// fits here.
func (m *models) resolve(ctx context.Context, f *fetch.Fetcher, from string) (plan, error) {
	from = ops.LowerScheme(from)
	p := plan{source: fetch.Shown(from), name: nameOf(from)}
	switch {
	case strings.HasPrefix(from, ops.HiveScheme):
		return m.elsewhere(ctx, from)
	case strings.HasPrefix(from, fetch.HubPrefix):
		memory, unused := m.memory(ctx)
		c, err := f.Hub(ctx, from, fetch.Room{Memory: memory, Unused: unused, Need: m.needBy})
		if err != nil {
			return plan{}, err
		}
		ops.Narrate(ctx, "model_choose", "%s", c.Why)
		p = plan{source: c.Source, name: nameOf(c.Name), files: c.Files, names: c.Names}
		if len(p.files) == 1 {
			p.names = []string{modelFile}
		}
	case strings.HasPrefix(from, "http://") || strings.HasPrefix(from, "https://"):
		return fromServer(ctx, f, from)
	default: // a path: it was checked
		p.paths, p.names = []string{from}, []string{modelFile}
		if parts := fetch.Parts(filepath.Base(from)); len(parts) > 1 {
			p.split(parts)
			p.paths = make([]string, len(parts))
			for i, part := range parts {
				p.paths[i] = filepath.Join(filepath.Dir(from), part)
			}
			p.source = p.paths[0]
		}
	}
	return p, nil
}

// fromServer is the plan for a model at a URL. Of a split one all parts are asked
// for, which lie beside each other, before any comes.
func fromServer(ctx context.Context, f *fetch.Fetcher, from string) (plan, error) {
	u, err := url.Parse(from)
	if err != nil {
		return plan{}, ops.Invalid("model", "is no URL: %w", err)
	}
	p := plan{source: fetch.Shown(from), name: nameOf(from), names: []string{modelFile}}
	p.files = []fetch.File{{URL: from, Size: -1, Begins: magic}}
	parts := fetch.Parts(path.Base(u.Path))
	if len(parts) < 2 {
		return p, nil
	}
	p.split(parts)
	p.files = make([]fetch.File, len(parts))
	for i, part := range parts {
		at := *u
		at.Path, at.RawPath = strings.TrimSuffix(u.Path, path.Base(u.Path))+part, ""
		p.files[i] = fetch.File{URL: at.String(), Begins: magic}
		if p.files[i].Size, _, err = f.Look(ctx, p.files[i]); err != nil {
			return plan{}, fmt.Errorf("part %d of %d of the model %s: %w", i+1, len(parts), p.name, err)
		}
	}
	p.source = fetch.Shown(p.files[0].URL)
	return p, nil
}

// split makes it the plan for a model in parts, which keep their names as far as
// a folder takes them: by these they are found.
func (p *plan) split(parts []string) {
	whole, _, _ := ops.SplitName(parts[0])
	p.name, p.names = nameOf(whole+".gguf"), make([]string, len(parts))
	for i, part := range parts {
		p.names[i] = p.name + strings.TrimPrefix(part, whole)
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
	name = strings.ReplaceAll(notInNames.ReplaceAllString(name, "-"), "..", ".")
	return strings.Trim(name, ".-_")
}

// openFile opens a file of this machine that begins as a GGUF file does.
func openFile(path string) (_ *os.File, size int64, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, ops.Errorf(ops.CodeNotFound, "there is no file %s on the hive's machine", path).
			WithHint("is the path right? A model is hf:OWNER/REPOSITORY, a URL, or a GGUF file of that machine")
	}
	if err == nil && info.IsDir() {
		return nil, 0, ops.Invalid("model", "%s is a folder", path).WithHint("name the GGUF file in it; of a model in parts, the first")
	}
	if err == nil && !info.Mode().IsRegular() { // opening a pipe would wait
		return nil, 0, ops.Invalid("model", "%s is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, ops.Invalid("model", "cannot be opened: %w", err)
	}
	first := make([]byte, len(magic))
	_, err = f.ReadAt(first, 0)
	if err != nil && !errors.Is(err, io.EOF) || string(first) != magic {
		_ = f.Close() // it was only read
		why := "it does not begin as one"
		if info.Size() == 0 {
			why = "it is empty"
		}
		return nil, 0, ops.Invalid("model", "%s is no GGUF file: %s", path, why).
			WithHint("models come as GGUF files, which `rbee model download hf:OWNER/REPOSITORY` brings")
	}
	return f, info.Size(), nil
}
