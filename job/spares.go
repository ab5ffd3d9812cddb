package job

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// maxSpares is how many files wait to become logs at most: as many jobs as may
// well begin at one moment.
const maxSpares = 32

// spares are empty log files kept ready. Making a file takes longer than all
// else that a job waits for before it starts (on ext4 some 0.3 ms at every
// daemon on the way). Giving one its name takes a fifth of that, which can be
// done while the job runs: see [eventLog.settle].
type spares struct {
	dir   string
	mu    sync.Mutex
	files []*os.File
	made  int // how many names were given
}

// sparePrefix begins the name of a spare, also of one that is a job's log since a
// moment ago.
const sparePrefix = ".spare-"

// prepare makes n files, or as many as are wanting. Where they cannot be made,
// the next job makes its own and says why that fails.
func (s *spares) prepare(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range min(n, maxSpares-len(s.files)) {
		name := filepath.Join(s.dir, fmt.Sprintf("%s%d", sparePrefix, s.made))
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return
		}
		s.files = append(s.files, f)
		s.made++
	}
}

// take returns a file that is going to be called path, which nothing may be yet;
// nil when there is no file to be had.
func (s *spares) take(path string) *os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.files) == 0 {
		return nil
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	f := s.files[0]
	s.files = slices.Delete(s.files, 0, 1)
	if _, err := os.Lstat(f.Name()); err != nil { // somebody has cleared the folder
		_ = f.Close() // it is empty
		return nil
	}
	return f
}

// drop removes the files.
func (s *spares) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		_ = f.Close() // it is empty
		_ = os.Remove(f.Name())
	}
	s.files = nil
}
