package gguf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// OpenWhole opens the model at path. One that is split, of which path is the first
// part, is opened as one: its metadata is that of the first part, its tensors are
// those of all parts, which lie beside it under the names that gguf-split gives
// them (llama.cpp, tools/gguf-split; keys split.no, split.count and
// split.tensors.count). A part that is not there is a [fs.ErrNotExist].
func OpenWhole(path string) (_ *File, err error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	count, _ := f.Uint("split.count")
	if count < 2 {
		return f, nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if count > maxParts {
		return nil, &Error{What: "split.count", Why: fmt.Sprintf("is %d, and at most %d are believed", count, maxParts)}
	}
	if no, _ := f.Uint("split.no"); no != 0 {
		return nil, &Error{What: "the file", Why: fmt.Sprintf("is part %d of %d of a model, not the first", no+1, count)}
	}
	for i := 1; i < int(count); i++ { //nolint:gosec // bounded
		if err := f.join(path, i, int(count)); err != nil { //nolint:gosec // bounded
			return nil, fmt.Errorf("part %d of %d of the model: %w", i+1, count, err)
		}
	}
	if n, told := f.Uint("split.tensors.count"); told && n != uint64(len(f.tensors)) {
		return nil, &Error{What: "split.tensors.count", Why: fmt.Sprintf("is %d, and the parts hold %d", n, len(f.tensors))}
	}
	return f, nil
}

// maxParts is how many parts are believed.
const maxParts = 1 << 12

// join opens a part, counted from 0, of the model whose first one is at path, and
// adds its tensors.
func (f *File) join(path string, i, count int) error {
	first := fmt.Sprintf("-%05d-of-%05d", 1, count)
	at := strings.LastIndex(filepath.Base(path), first)
	if at < 0 {
		return &Error{What: "the file", Why: "does not say by its name where the other parts are: NAME" + first + ".gguf does"}
	}
	at += len(path) - len(filepath.Base(path))
	part, err := Open(path[:at] + fmt.Sprintf("-%05d-of-%05d", i+1, count) + path[at+len(first):])
	if err != nil {
		if e, ok := errors.AsType[*os.PathError](err); ok {
			return fmt.Errorf("%s: %w", filepath.Base(e.Path), e.Err)
		}
		return err
	}
	f.further = append(f.further, part)
	no, _ := part.Uint("split.no")
	if of, _ := part.Uint("split.count"); no != uint64(i) || of != uint64(count) { //nolint:gosec // not negative
		return &Error{What: "split.no", Why: fmt.Sprintf("says that it is part %d of %d", no+1, of)}
	}
	for _, t := range part.tensors {
		if _, twice := f.byName[t.Name]; twice {
			return &Error{What: fmt.Sprintf("tensor %q", t.Name), Why: "is in another part as well"}
		}
		t.part = i
		f.byName[t.Name] = len(f.tensors)
		f.tensors = append(f.tensors, t)
	}
	return nil
}
