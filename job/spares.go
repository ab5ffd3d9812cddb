package job

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// sparesKept is how many empty log files are kept ready at most: so many jobs
// that come at one moment do not wait for the disk.
const sparesKept = 32

// spares is empty log files kept ready. Making a file takes longer than all else
// that a job waits for before it starts (on ext4 some 0.3 ms at every daemon on
// the way); giving one its name takes a third of that.
type spares struct {
	dir   string
	mu    sync.Mutex
	files [sparesKept]*os.File // nil where there is none
	made  [sparesKept]bool     // somebody is making it
}

// prepare makes n files, fewer where there are enough then. Where one cannot be
// made, the next job makes its own and says why that fails.
func (s *spares) prepare(n int) {
	for range n {
		i, ok := s.vacant()
		if !ok {
			return
		}
		f, err := os.OpenFile(s.name(i), os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY, 0o600)
		s.mu.Lock()
		s.made[i] = false
		if err == nil {
			s.files[i] = f
		}
		s.mu.Unlock()
	}
}

// vacant reserves a place for a file that is to be made.
func (s *spares) vacant() (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.files {
		if f == nil && !s.made[i] {
			s.made[i] = true
			return i, true
		}
	}
	return 0, false
}

// name is the path of the file at place i while it waits.
func (s *spares) name(i int) string { return filepath.Join(s.dir, fmt.Sprintf(".spare-%d", i)) }

// take gives a file the name path, which nothing may have yet, and returns it;
// nil when there is no file to be had.
func (s *spares) take(path string) *os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.files {
		if f == nil {
			continue
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		s.files[i] = nil
		if err := os.Rename(f.Name(), path); err != nil {
			_ = f.Close() // it is empty
			return nil
		}
		return f
	}
	return nil
}

// drop removes the files.
func (s *spares) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.files {
		if f != nil {
			_ = f.Close() // it is empty
			_ = os.Remove(f.Name())
			s.files[i] = nil
		}
	}
}
