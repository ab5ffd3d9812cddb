package process

import (
	"bytes"
	"slices"
	"strings"
	"sync"
)

// What is kept of a program's output.
const (
	keepLines = 100
	keepBytes = 2 << 10 // of each line
)

// tail keeps the last lines that are written to it.
type tail struct {
	// wrote holds one token while there are lines that nobody was told of.
	wrote chan struct{}

	mu    sync.Mutex
	lines []string
	part  []byte // of a line that has not ended
}

func newTail() *tail { return &tail{wrote: make(chan struct{}, 1)} }

// Write takes output in. A carriage return ends a line too, as progress bars
// have it.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rest := p
	for len(rest) > 0 {
		end := bytes.IndexAny(rest, "\n\r")
		if end < 0 {
			t.keep(rest)
			break
		}
		t.keep(rest[:end])
		t.endLine()
		rest = rest[end+1:]
	}
	select {
	case t.wrote <- struct{}{}:
	default:
	}
	return len(p), nil
}

// keep adds to the line that has not ended. The caller holds the lock.
func (t *tail) keep(p []byte) {
	t.part = append(t.part, p[:min(len(p), keepBytes-len(t.part))]...)
}

// endLine ends the line. The caller holds the lock.
func (t *tail) endLine() {
	line := strings.TrimRight(strings.ToValidUTF8(string(t.part), "\uFFFD"), " \t")
	t.part = t.part[:0]
	if line == "" {
		return
	}
	if len(t.lines) == keepLines {
		t.lines = slices.Delete(t.lines, 0, 1)
	}
	t.lines = append(t.lines, line)
}

// list is the lines kept, the oldest first.
func (t *tail) list() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := slices.Clone(t.lines)
	if len(t.part) > 0 {
		list = append(list, strings.ToValidUTF8(string(t.part), "\uFFFD"))
	}
	return list
}
