package process

import (
	"bytes"
	"net/http"
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
	asked []string // paths that it is asked for all the time, of which lines tell nothing

	mu    sync.Mutex
	lines []string
	count int    // of all lines so far
	part  []byte // of a line that has not ended
}

func newTail(asked []string) *tail { return &tail{wrote: make(chan struct{}, 1), asked: asked} }

// Write takes output in. A carriage return ends a line too, as progress bars
// have it.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rest, before := p, t.count
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
	if t.count > before {
		select {
		case t.wrote <- struct{}{}:
		default:
		}
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
	if line == "" || t.looks(line) {
		return
	}
	t.count++
	if len(t.lines) == keepLines {
		t.lines = slices.Delete(t.lines, 0, 1)
	}
	t.lines = append(t.lines, line)
}

// looks reports whether a line tells of a look at whether the program can be used,
// and of nothing else: servers log each request.
func (t *tail) looks(line string) bool {
	about := func(path string) bool { return strings.Contains(line, path) }
	return strings.Contains(line, http.MethodGet) && slices.ContainsFunc(t.asked, about)
}

// newest is how many lines there were, and the last of them, or "".
func (t *tail) newest() (count int, line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.lines); n > 0 {
		line = t.lines[n-1]
	}
	return t.count, line
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
