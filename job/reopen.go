package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"rbee.dev/rbee/ops"
)

// openLog opens the log in the file at path, and returns the end of a job that
// has ended. That of an unfinished job goes on behind its last event: a line
// that the end of its process cut short is cut off.
func openLog(path string, tailBytes int) (*eventLog, *ending, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	l := &eventLog{path: path, tailBytes: tailBytes, file: file}
	end, err := l.lastLine()
	if err == nil && end == nil {
		end, err = l.scan()
	}
	if err == nil && end == nil {
		if err = file.Truncate(l.whole); err == nil {
			return l, nil, nil
		}
		err = fmt.Errorf("cut off what is behind the last event: %w", err)
	}
	return l, end, errors.Join(err, l.closeFile())
}

// lastLine returns the end that the file's last line tells, if that is a
// line of usual length and tells one. It saves reading all of the file.
func (l *eventLog) lastLine() (*ending, error) {
	const most = 16 << 10
	size, err := l.file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	text := make([]byte, min(size, most))
	if _, err := l.file.ReadAt(text, size-int64(len(text))); err != nil {
		return nil, err
	}
	text, complete := bytes.CutSuffix(text, []byte("\n"))
	begin := bytes.LastIndexByte(text, '\n') + 1
	if !complete || begin == 0 {
		return nil, nil
	}
	return l.take(text[begin:]), nil
}

// take returns the end that a line tells, or nil.
func (l *eventLog) take(line []byte) *ending {
	var r record
	if json.Unmarshal(line, &r) != nil || r.End == nil || r.End.FinishedAt == nil {
		return nil
	}
	l.last, l.written, l.ended = r.ID, r.ID, true
	return r.End
}

// scan reads the file up to its end, or to the first line that a log does not
// have there, and returns the job's end if it comes to it.
func (l *eventLog) scan() (*ending, error) {
	lines, err := openLines(l.path, 0)
	if err != nil {
		return nil, err
	}
	defer lines.Close()
	if _, err := lines.next(); err != nil {
		return nil, err
	}
	l.whole = lines.offset
	for outcome := false; ; {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if end := l.take(line); end != nil {
			return end, nil
		}
		var r record
		if json.Unmarshal(line, &r) != nil || !l.follows(r, line) || outcome {
			return nil, nil
		}
		if outcome = r.Kind == ops.KindResult || r.Kind == ops.KindError; outcome {
			continue // counts only if the end follows
		}
		l.whole = lines.offset
		if r.ID > 0 {
			l.last, l.written = r.ID, r.ID
		}
		if r.Cursor != nil {
			l.cursor = *r.Cursor
		}
	}
}

// follows reports whether r, read from line, is what comes next in the log.
func (l *eventLog) follows(r record, line []byte) bool {
	if lineID(line) != r.ID {
		return false
	}
	return r.ID == 0 || r.ID == l.last+1 && r.Kind != ops.KindEnd
}
