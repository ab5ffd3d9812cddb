package job

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
)

// event is one event as readers get it.
type event struct {
	id   uint64
	kind string
	data []byte
}

// size is about what the event takes in memory.
func (e event) size() int { return len(e.data) + 64 }

// record is one line of a job's log file behind the first. A line without an id
// only says where forwarding has got to; readers do not see it.
type record struct {
	ID     uint64          `json:"id,omitempty"` // first, so that lines can be skipped by it
	Kind   string          `json:"kind,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
	Cursor *ops.Cursor     `json:"cursor,omitempty"`
	End    *ending         `json:"end,omitempty"` // of the last line
}

// ending is what became of a job. It does not repeat the operation, which may
// be megabytes long.
type ending struct {
	State      ops.JobState `json:"state"`
	StartedAt  *time.Time   `json:"started_at,omitempty"`
	FinishedAt *time.Time   `json:"finished_at"`
	Error      *ops.Error   `json:"error,omitempty"`
}

var (
	// errLeft ends the streams of a log that its daemon leaves to its successor.
	errLeft = errors.New("the daemon is restarting; ask again with Last-Event-ID")
	// errOver is the answer to an event that comes too late.
	errOver = errors.New("the job is over")
)

// eventLog is the append-only list of a job's events. The file holds all of
// them, memory the newest. Appending never waits for a reader.
type eventLog struct {
	tailBytes int

	mu      sync.Mutex
	path    string        // where the file is
	name    string        // where it belongs while it is not there yet, or ""
	file    *os.File      // nil once no more is written
	whole   int64         // bytes of whole lines in the file
	written uint64        // id of the newest event in the file
	tail    []event       // the newest events, in order, without gaps
	size    int           // of the events in tail
	last    uint64        // id of the newest event
	cursor  ops.Cursor    // newest one noted
	grown   chan struct{} // closed when something changes; nil while nobody waits
	readers int
	ended   bool  // the last event is in
	left    bool  // no more will come, though the last event is not in
	broken  error // why the file could not be written; only the end is taken then
	light   bool  // the job may do without a file, see [ops.RunsUnlogged]
	without bool  // it does: memory holds all of its events
}

// createLog starts the log of a new job in the file at path, which must not
// exist, with head as its first line. Where that cannot be written, an operation
// that may do without has a log in memory alone.
func createLog(path string, head header, tailBytes int, ready *spares) (*eventLog, error) {
	light := ops.RunsUnlogged(head.Operation)
	l, err := writeLog(path, head, ready)
	if err != nil && light {
		l, err = &eventLog{without: true}, nil
	}
	if err == nil {
		l.tailBytes, l.light = tailBytes, light
	}
	return l, err
}

// writeLog is a log with a file that holds head.
func writeLog(path string, head header, ready *spares) (*eventLog, error) {
	f := ready.take(path)
	if f == nil {
		var err error
		if f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return nil, fmt.Errorf("open the job's log: %w", err)
		}
	}
	line, err := json.Marshal(head)
	if err == nil {
		_, err = f.Write(append(line, '\n'))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write the job's log: %w", err), f.Close(), os.Remove(f.Name()))
	}
	l := &eventLog{path: f.Name(), file: f, whole: int64(len(line) + 1)}
	if l.path != path {
		l.name = path
	}
	return l, nil
}

// settle gives the file of a job that has just begun its name, unless it has it.
// A file that keeps its old one gets it at the next start.
func (l *eventLog) settle() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.name == "" {
		return nil
	}
	if err := os.Rename(l.path, l.name); err != nil {
		return fmt.Errorf("name the job's log: %w", err)
	}
	l.path, l.name = l.name, ""
	return nil
}

// lines opens the file for reading, at an offset at which a line begins.
func (l *eventLog) lines(offset int64) (*lineReader, error) {
	l.mu.Lock() // while it is opened nothing moves it
	defer l.mu.Unlock()
	return openLines(l.path, offset)
}

// append adds an event, with where it came from if it was forwarded. An event
// that the file does not take is not there for readers either; only of a token that
// is an error.
func (l *eventLog) append(kind string, data []byte, at *ops.Cursor) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.closed(); err != nil {
		return err
	}
	e := event{l.last + 1, kind, data}
	if err := l.write(record{ID: e.id, Kind: kind, Data: data, Cursor: at}); err != nil {
		if kind != ops.KindToken && l.mend() {
			return nil // said beside the work, which may have better to say of a full disk
		}
		return err
	}
	if at != nil {
		l.cursor = *at
	}
	l.keep(e)
	l.wake()
	return nil
}

// note writes down where forwarding has got to, without an event.
func (l *eventLog) note(at ops.Cursor) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.closed(); err != nil {
		return err
	}
	if err := l.write(record{Cursor: &at}); err != nil {
		return err
	}
	l.cursor = at
	return nil
}

// end adds the last two events: the result or error in data, and the end that
// end tells. Both go to the file at once, so that it never holds a result of a
// job that would run again. When the file cannot be written, readers get the
// events from memory and the error says so.
func (l *eventLog) end(kind string, data []byte, text string, end ending) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.left {
		return errOver
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		return fmt.Errorf("encode the end: %w", err)
	}
	outcome, last := event{l.last + 1, kind, data}, event{l.last + 2, ops.KindEnd, []byte(text)}
	err = l.writeEnd(
		record{ID: outcome.id, Kind: kind, Data: data},
		record{ID: last.id, Data: quoted, End: &end})
	l.ended = true
	l.keep(outcome)
	l.keep(last)
	l.letGo()
	l.wake()
	return errors.Join(err, l.closeFile())
}

// writeEnd writes the last lines, also into a file that could not be written
// before: what the job held may be free by now. A file that takes no end is put
// aside, since its job would be run again.
func (l *eventLog) writeEnd(lines ...record) error {
	l.mend()
	err := l.write(lines...)
	if err == nil {
		return nil
	}
	aside := cmp.Or(l.name, l.path) + asideSuffix
	if moved := os.Rename(l.path, aside); moved != nil {
		return errors.Join(err, moved)
	}
	l.path = aside
	return err
}

// logSuffix ends the name of a job's log.
const logSuffix = ".jsonl"

// asideSuffix is appended to the name of the log of a job that has ended but whose end is not in it.
const asideSuffix = ".unfinished"

// closed says why no event is taken any more.
func (l *eventLog) closed() error {
	if l.ended || l.left {
		return errOver
	}
	return l.broken
}

// write appends lines to the file, in one piece.
func (l *eventLog) write(lines ...record) error {
	switch {
	case l.broken != nil:
		return l.broken
	case l.without:
		return nil
	}
	var text []byte
	for _, r := range lines {
		line, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("encode an event: %w", err)
		}
		text = append(append(text, line...), '\n')
	}
	if _, err := l.file.Write(text); err != nil {
		if l.doWithout() {
			return nil
		}
		l.broken = err
		return err
	}
	l.whole += int64(len(text))
	l.written = max(l.written, lines[len(lines)-1].ID)
	return nil
}

// mend has a file that could not be written end with its last whole line, so that
// it may be written again, and reports whether it does.
func (l *eventLog) mend() bool {
	if l.broken != nil && l.file.Truncate(l.whole) == nil {
		l.broken = nil
	}
	return l.broken == nil
}

// doWithout has a log that may do without a file go on in memory, and reports
// whether it does: all of its events must be there. Its file goes, since its job
// would be run again.
func (l *eventLog) doWithout() bool {
	if !l.light || uint64(len(l.tail)) < l.last || os.Remove(l.path) != nil {
		return false
	}
	_ = l.closeFile() // what was to be in it is lost anyway
	l.path, l.name, l.written, l.without = "", "", 0, true
	return true
}

// keep holds e in memory and lets go of the oldest that are in the file.
func (l *eventLog) keep(e event) {
	l.last = e.id
	l.tail = append(l.tail, e)
	l.size += e.size()
	drop := 0
	for l.size > l.tailBytes && drop < len(l.tail)-1 && l.tail[drop].id <= l.written {
		l.size -= l.tail[drop].size()
		drop++
	}
	l.tail = l.tail[drop:]
}

// letGo frees the memory of a log that has ended once nobody reads along:
// whoever comes later reads the file.
func (l *eventLog) letGo() {
	if l.ended && l.readers == 0 && l.written == l.last {
		l.tail, l.size = nil, 0
	}
}

// wake tells the waiting readers to look again.
func (l *eventLog) wake() {
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
}

// leave closes the file without a last event; readers are sent away.
func (l *eventLog) leave() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.left {
		return nil
	}
	l.left = true
	l.wake()
	return l.closeFile()
}

func (l *eventLog) closeFile() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// position returns the newest cursor and the newest event's id.
func (l *eventLog) position() (ops.Cursor, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cursor, l.last
}

// failure is why the file could not be written, or nil.
func (l *eventLog) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// isRead reports whether somebody reads the log at this moment.
func (l *eventLog) isRead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.readers > 0
}

// where is the file's path.
func (l *eventLog) where() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.path
}

// since returns events after the one called after that are in memory. Up to the
// event called until they must come from the file first, if it is not 0. When
// there is nothing yet, grown is closed at the next event.
func (l *eventLog) since(after uint64) (events []event, until uint64, grown <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after >= l.last {
		switch {
		case l.ended:
			return nil, 0, nil, io.EOF
		case l.left:
			return nil, 0, nil, errLeft
		case l.grown == nil:
			l.grown = make(chan struct{})
		}
		return nil, 0, l.grown, nil
	}
	before := l.last - uint64(len(l.tail)) // the newest event not in memory
	if after < before {
		return nil, before, nil, nil
	}
	return l.tail[after-before:], 0, nil, nil
}
