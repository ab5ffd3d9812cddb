package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"rbee.dev/rbee/ops"
)

// reader pulls one reader's events out of a log. What has left memory it reads
// from the file, which it holds open only until it has caught up.
type reader struct {
	log    *eventLog
	after  uint64      // id of the newest event that was pulled
	file   *lineReader // nil while memory is enough
	offset int64       // where to go on in the file
}

// reader returns a reader that begins behind the event called after, which
// must be one of the log's. It must be closed.
func (l *eventLog) reader(after uint64) (*reader, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after > l.last {
		return nil, ops.Invalid("Last-Event-ID", "is %d, but the job's newest event is %d", after, l.last)
	}
	l.readers++
	return &reader{log: l, after: after}, nil
}

// Close ends the reading.
func (r *reader) Close() {
	r.closeFile()
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	r.log.readers--
	r.log.letGo()
}

func (r *reader) closeFile() {
	if r.file != nil {
		r.offset = r.file.offset
		r.file.Close()
		r.file = nil
	}
}

// next returns the events that come next, at least one, and waits for it. At
// the end it returns io.EOF. While it waits it calls idle every beat.
func (r *reader) next(ctx context.Context, beat time.Duration, idle func() error) ([]event, error) {
	for {
		events, until, grown, err := r.log.since(r.after)
		if err == nil && until > 0 {
			events, err = r.fromFile(until)
		}
		if err != nil {
			return nil, err
		}
		if len(events) > 0 {
			r.after = events[len(events)-1].id
			return events, nil
		}
		if err := wait(ctx, grown, beat, idle); err != nil {
			return nil, err
		}
	}
}

// wait returns when something is there to be read. Once beat has gone by, idle
// is called and waiting starts anew.
func wait(ctx context.Context, there <-chan struct{}, beat time.Duration, idle func() error) error {
	timer := time.NewTimer(beat)
	defer timer.Stop()
	select {
	case <-there:
		return nil
	case <-timer.C:
		return idle()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fromFile reads the next events from the file, some at a time and none behind
// the one called until: the lines behind may be half-written yet.
func (r *reader) fromFile(until uint64) ([]event, error) {
	if r.file == nil {
		file, err := r.log.lines(r.offset)
		if err != nil {
			return nil, fmt.Errorf("open the job's log: %w", err)
		}
		r.file = file
	}
	const some = 32 << 10
	var events []event
	for size := 0; size < some; {
		line, err := r.file.next()
		if errors.Is(err, io.EOF) { // not the end of the stream: events are missing
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, fmt.Errorf("read the job's log: %w", err)
		}
		id := lineID(line)
		if id <= r.after {
			continue
		}
		e, err := decodeLine(line)
		if err != nil {
			return nil, fmt.Errorf("read event %d from the job's log: %w", id, err)
		}
		events = append(events, e)
		size += e.size()
		if id >= until {
			r.closeFile()
			break
		}
	}
	return events, nil
}

// lineID is the id of the event in a line, or 0 if the line holds none.
func lineID(line []byte) uint64 {
	rest, ok := bytes.CutPrefix(line, []byte(`{"id":`))
	digits := bytes.IndexAny(rest, ",}")
	if !ok || digits < 0 {
		return 0
	}
	id, err := strconv.ParseUint(string(rest[:digits]), 10, 64)
	if err != nil {
		return 0
	}
	return id
}

func decodeLine(line []byte) (event, error) {
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		return event{}, err
	}
	if r.Kind != ops.KindEnd {
		return event{r.ID, r.Kind, r.Data}, nil
	}
	var text string // the end is not JSON in a stream; in the file it is a JSON string
	if err := json.Unmarshal(r.Data, &text); err != nil {
		return event{}, err
	}
	return event{r.ID, r.Kind, []byte(text)}, nil
}
