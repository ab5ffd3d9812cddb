package llamacpp

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/ops"
)

// Kinds of pooling (enum llama_pooling_type of llama.h).
const (
	poolNone = 0
	poolRank = 4
)

// model is what a model's file and folder say of how to run it.
type model struct {
	path         string
	architecture string // "" is not known
	context      int    // tokens that it was made for; 0 is not known
	blocks       int    // layers that repeat; 0 is not known
	pooling      uint64 // how it makes one vector of a text's; poolNone for one that writes
	projector    string // the file that turns images into vectors, or ""
}

// inspect looks at a model. What this build cannot read of it is left open: it
// is for llama-server to judge.
func inspect(path string) (model, error) {
	m := model{}
	var err error
	if m.path, err = filepath.Abs(path); err != nil {
		return m, err
	}
	if _, err := os.Stat(m.path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return m, ops.Errorf(ops.CodeNotFound, "open the model: %w", err)
		}
		return m, err
	}
	m.projector = projector(m.path)
	f, err := gguf.Open(m.path)
	if err != nil {
		return m, nil //nolint:nilerr // llama-server's words are the ones to hear
	}
	defer f.Close()
	m.architecture = f.Architecture()
	if n, ok := f.Uint(f.Architecture() + ".context_length"); ok && n <= 1<<26 {
		m.context = int(n)
	}
	if n, ok := f.Uint(f.Architecture() + ".block_count"); ok && n <= 1<<16 {
		m.blocks = int(n)
	}
	if n, ok := f.Uint(f.Architecture() + ".pooling_type"); ok {
		m.pooling = n
	}
	return m, nil
}

// projector is the model's companion for images: the one file mmproj*.gguf in
// a folder that holds no other model.
func projector(path string) string {
	files, err := filepath.Glob(filepath.Join(escape(filepath.Dir(path)), "*.gguf"))
	if err != nil {
		return ""
	}
	found := ""
	for _, f := range files {
		switch {
		case f == path, split(f) != "" && split(f) == split(path):
		case strings.HasPrefix(strings.ToLower(filepath.Base(f)), "mmproj") && found == "":
			found = f
		default: // whose is it?
			return ""
		}
	}
	return found
}

// split is what the parts of a split model have in common: the name without
// -00001-of-00005.gguf; "" for a file that is no part.
func split(path string) string {
	const form = "-00001-of-00005.gguf"
	n := len(path) - len(form)
	if n <= 0 || path[n] != '-' || path[n+6:n+10] != "-of-" {
		return ""
	}
	return path[:n]
}

// escape takes the meaning from what filepath.Glob would read as a pattern.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}
