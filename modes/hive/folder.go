package hive

import (
	"fmt"
	"io/fs"
	"os"
	"sync"

	"rbee.dev/rbee/ops"
)

// folder is the models' folder, as the one that is there now: a person may remove
// it, or put another in its place, while the hive runs. No name leads out of it,
// not by links either. Without it there are no files.
type folder struct {
	dir   string
	anew  chan struct{} // holds one token once another folder is there
	mu    sync.Mutex
	root  *os.Root
	found fs.FileInfo // of root
}

// openFolder opens the folder, which must be there.
func openFolder(dir string) (*folder, error) {
	f := &folder{dir: dir, anew: make(chan struct{}, 1)}
	if _, err := f.open(); err != nil {
		return nil, fmt.Errorf("open the models' folder: %w", err)
	}
	return f, nil
}

// now is the folder that is there, or fs.ErrNotExist.
func (f *folder) now() (*os.Root, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if info, err := os.Stat(f.dir); err == nil && os.SameFile(info, f.found) {
		return f.root, nil
	}
	root, err := f.open()
	if err != nil {
		return nil, fs.ErrNotExist
	}
	select {
	case f.anew <- struct{}{}:
	default: // somebody is told already
	}
	return root, nil
}

// open opens what is there. The one before is closed by the runtime, once those who
// still read in it are done.
func (f *folder) open() (*os.Root, error) {
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		return nil, err
	}
	found, err := root.Stat(".")
	if err != nil {
		_ = root.Close() // it was only looked at
		return nil, err
	}
	f.root, f.found = root, found
	return root, nil
}

// make makes the folder again where it is gone.
func (f *folder) make() error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return ops.Errorf(ops.CodeUnavailable, "make the models' folder again: %w", err).
			WithHint("see that %s is a folder that rbee may write to, or a link to one, or is not there at all: then rbee makes it", f.dir)
	}
	return nil
}

// Close gives the folder up.
func (f *folder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.root.Close()
}

// OpenFile is os.OpenFile in the folder.
func (f *folder) OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	root, err := f.now()
	if err != nil {
		return nil, err
	}
	return root.OpenFile(name, flag, mode)
}

// Stat is os.Stat in the folder.
func (f *folder) Stat(name string) (fs.FileInfo, error) {
	root, err := f.now()
	if err != nil {
		return nil, err
	}
	return root.Stat(name)
}

// Lstat is os.Lstat in the folder.
func (f *folder) Lstat(name string) (fs.FileInfo, error) {
	root, err := f.now()
	if err != nil {
		return nil, err
	}
	return root.Lstat(name)
}
