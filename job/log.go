package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
)

// record is one line of a job's log file. A line without an id only says where
// forwarding has got to; readers do not see it.
type record struct {
	ID     uint64          `json:"id,omitempty"`
	Kind   string          `json:"kind,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
	Cursor *ops.Cursor     `json:"cursor,omitempty"`
	End    *ops.Job        `json:"end,omitempty"` // of the last line: what became of the job
}

// errLeft ends the streams of a log that its daemon leaves to its successor.
var errLeft = errors.New("the daemon is restarting; ask again with Last-Event-ID")

// eventLog is the append-only list of a job's events. The file holds all of
// them, memory the newest. Appending never waits for a reader.
type eventLog struct {
	path      string
	tailBytes int

	mu     sync.Mutex
	file   *os.File      // nil once no more is written
	tail   []record      // the newest events, in order, without gaps
	size   int           // bytes of data in tail
	last   uint64        // id of the newest event
	cursor ops.Cursor    // newest one written
	grown  chan struct{} // closed and replaced at each append
	ended  bool          // the last event is in
	left   bool          // no more will come, though the last event is not in
	broken error         // why the file could not be written; events stay in memory then
}

// createLog starts the log of a new job in the file at path, which must not
// exist, with head as its first line.
func createLog(path string, head header, tailBytes int) (*eventLog, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the job's log: %w", err)
	}
	line, err := json.Marshal(head)
	if err == nil {
		_, err = f.Write(append(line, '\n'))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write the job's log: %w", err), f.Close(), os.Remove(path))
	}
	return &eventLog{path: path, tailBytes: tailBytes, file: f, grown: make(chan struct{})}, nil
}

// append adds an event, with where it came from if it was forwarded, and
// returns the error that keeps it from the file. The event is in any case
// there for readers.
func (l *eventLog) append(kind string, data []byte, at *ops.Cursor, end *ops.Job) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.left {
		return nil
	}
	r := record{Kind: kind, Data: data, Cursor: at, End: end}
	if kind != kindCursor {
		l.last++
		r.ID = l.last
	}
	if end != nil {
		end.Events = l.last
		l.ended = true
	}
	l.write(r)
	if at != nil {
		l.cursor = *at
	}
	if kind != kindCursor {
		l.keep(r)
		close(l.grown)
		l.grown = make(chan struct{})
	}
	if l.ended && l.broken == nil {
		l.tail, l.size = nil, 0 // whoever still reads, reads the file
	}
	return l.broken
}

// kindCursor is the kind of a record that is no event.
const kindCursor = "cursor"

func (l *eventLog) write(r record) {
	if l.broken != nil || l.file == nil {
		return
	}
	if r.Kind == kindCursor {
		r.Kind = ""
	}
	line, err := json.Marshal(r)
	if err == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	if err != nil {
		l.broken = err
	}
	if l.ended || l.broken != nil {
		if err := l.file.Close(); err != nil && l.broken == nil {
			l.broken = err
		}
		l.file = nil
	}
}

// keep holds r in memory and lets go of the oldest that are in the file.
func (l *eventLog) keep(r record) {
	l.tail = append(l.tail, r)
	l.size += len(r.Data)
	drop := 0
	for l.broken == nil && l.size > l.tailBytes && drop < len(l.tail)-1 {
		l.size -= len(l.tail[drop].Data)
		drop++
	}
	l.tail = l.tail[drop:]
}

// leave closes the file without a last event; readers are sent away.
func (l *eventLog) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.left {
		return
	}
	l.left = true
	if l.file != nil {
		if err := l.file.Close(); err != nil {
			l.broken = err
		}
		l.file = nil
	}
	close(l.grown)
	l.grown = make(chan struct{})
}

// position returns the newest cursor and the newest event's id.
func (l *eventLog) position() (ops.Cursor, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cursor, l.last
}

// since returns events after the one called after that are in memory. behind
// says that older ones must come from the file first. When there is nothing
// yet, grown is closed at the next event.
func (l *eventLog) since(after uint64) (events []record, behind bool, grown <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after >= l.last {
		switch {
		case l.ended:
			return nil, false, nil, io.EOF
		case l.left:
			return nil, false, nil, errLeft
		}
		return nil, false, l.grown, nil
	}
	first := l.last - uint64(len(l.tail)) + 1
	if after+1 < first {
		return nil, true, nil, nil
	}
	return l.tail[after+1-first:], false, nil, nil
}

// reader pulls one reader's events out of a log.
type reader struct {
	log   *eventLog
	after uint64
	file  *lineReader // for what is no longer in memory
}

func (l *eventLog) reader(after uint64) *reader { return &reader{log: l, after: after} }

// Close gives the reader's file up, if it has one.
func (r *reader) Close() {
	if r.file != nil {
		r.file.Close()
	}
}

// next returns the events that come next, at least one, and waits for it. At
// the end it returns io.EOF. While it waits it calls idle every beat.
func (r *reader) next(ctx context.Context, beat time.Duration, idle func() error) ([]record, error) {
	for {
		events, behind, grown, err := r.log.since(r.after)
		if err == nil && behind {
			events, err = r.fromFile()
		}
		if err != nil {
			return nil, err
		}
		if len(events) > 0 {
			r.after = events[len(events)-1].ID
			return events, nil
		}
		if err := wait(ctx, grown, beat, idle); err != nil {
			return nil, err
		}
	}
}

func wait(ctx context.Context, grown <-chan struct{}, beat time.Duration, idle func() error) error {
	timer := time.NewTimer(beat)
	defer timer.Stop()
	select {
	case <-grown:
		return nil
	case <-timer.C:
		return idle()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fromFile reads the next events from the file, some at a time.
func (r *reader) fromFile() ([]record, error) {
	if r.file == nil {
		file, err := openLines(r.log.path)
		if err != nil {
			return nil, err
		}
		r.file = file
	}
	const some = 256
	var events []record
	for len(events) < some {
		line, err := r.file.next()
		if errors.Is(err, io.EOF) && len(events) > 0 {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the job's log: %w", err)
		}
		var e record
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("read the job's log: %w", err)
		}
		if e.ID > r.after {
			events = append(events, e)
		}
	}
	return events, nil
}

// payload is the event's data as it goes into a stream.
func (r record) payload() []byte {
	if r.Kind != ops.KindEnd {
		return r.Data
	}
	// The end is not JSON in the stream; in the file it is a JSON string.
	var text string
	if err := json.Unmarshal(r.Data, &text); err != nil {
		return bytes.TrimSpace(r.Data)
	}
	return []byte(text)
}
