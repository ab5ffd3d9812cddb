package job

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// spareName is the file that waits to become a job's log.
const spareName = ".spare"

// spare is an empty log file kept ready. Making a file takes longer than all
// else that a job waits for before it starts (on ext4 some 0.3 ms at every
// daemon on the way); giving one its name takes a third of that.
type spare struct {
	dir  string
	mu   sync.Mutex
	file *os.File // nil when there is none
}

// prepare makes the file if there is none. Where it cannot be made, the next
// job makes its own and says why that fails.
func (s *spare) prepare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		return
	}
	f, err := os.OpenFile(filepath.Join(s.dir, spareName), os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		s.file = f
	}
}

// take gives the file the name path, which nothing may have yet, and returns it;
// nil when there is no file to be had.
func (s *spare) take(path string) *os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	f := s.file
	s.file = nil
	if err := os.Rename(f.Name(), path); err != nil {
		_ = f.Close() // it is empty
		return nil
	}
	return f
}

// drop removes the file.
func (s *spare) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		_ = s.file.Close() // it is empty
		_ = os.Remove(s.file.Name())
		s.file = nil
	}
}
