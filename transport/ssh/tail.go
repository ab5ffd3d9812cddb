package ssh

import (
	"bytes"
	"sync"
)

// maxStderr is how much of a long-running command's standard error is kept.
const maxStderr = 16 << 10

// tail keeps the end of what is written to it after a marker's line; before
// the marker, the end of all of it.
type tail struct {
	mu     sync.Mutex
	marker []byte // nil once it was seen
	kept   []byte
	limit  int
}

func newTail(marker string) *tail { return &tail{marker: []byte(marker + "\n"), limit: maxStderr} }

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if t.marker != nil {
		if i := bytes.Index(t.kept, t.marker); i >= 0 {
			t.kept, t.marker = t.kept[i+len(t.marker):], nil
		}
	}
	if over := len(t.kept) - t.limit; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}
