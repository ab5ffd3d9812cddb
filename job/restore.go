package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"rbee.dev/rbee/ops"
)

// restore takes up the jobs whose logs are in the folder. A file that is no
// job's log is left alone and reported.
func (s *Server[O]) restore() error {
	files, err := os.ReadDir(s.Dir)
	if err != nil {
		return fmt.Errorf("read the folder of the jobs' logs: %w", err)
	}
	for _, f := range files {
		id, ok := strings.CutSuffix(f.Name(), ".jsonl")
		if !ok {
			continue
		}
		if err := s.restoreJob(id, filepath.Join(s.Dir, f.Name())); err != nil {
			s.Log.Error().Err(err).Str("file", f.Name()).Msg("a job cannot be taken up again")
		}
	}
	return nil
}

func (s *Server[O]) restoreJob(id, path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	head, end, err := headAndEnd(file)
	if err != nil || head.ID != id {
		return errors.Join(fmt.Errorf("it does not begin with job %q", id), err, file.Close())
	}
	log := &eventLog{path: path, tailBytes: s.TailBytes, grown: make(chan struct{})}
	j := s.newJob(head, log)
	s.jobs[id] = j
	if end != nil {
		log.last, log.ended = end.Events, true
		j.state, j.started, j.finished, j.err = end.State, end.StartedAt, end.FinishedAt, end.Error
		close(j.done)
		return file.Close()
	}
	if err := log.takeUp(file); err != nil {
		return errors.Join(err, file.Close())
	}
	o, _, err := ops.Decode[O](head.Op)
	if err != nil {
		j.cancel = func(error) {}
		close(j.done)
		j.begin()
		j.finish(ops.JobFailed, nil, ops.Errorf(ops.CodeUnsupported, "this build cannot take the job up again: %w", err))
		return nil
	}
	s.Log.Info().Str("job", id).Uint64("event", log.last).Msg("taking a job up again")
	s.start(j, o)
	return nil
}

// headAndEnd reads the first line and, of a finished job, the last.
func headAndEnd(f *os.File) (header, *ops.Job, error) {
	var head header
	lines, err := openLines(f.Name())
	if err != nil {
		return head, nil, err
	}
	defer lines.Close()
	first, err := lines.next()
	if err != nil {
		return head, nil, err
	}
	if err := json.Unmarshal(first, &head); err != nil {
		return head, nil, err
	}
	last, err := lastLine(f)
	if err != nil || last == nil {
		return head, nil, err
	}
	var r record
	if json.Unmarshal(last, &r) != nil {
		return head, nil, nil // not an end; what it is shows when the job is taken up
	}
	return head, r.End, nil
}

// takeUp reads the whole log of an unfinished job and goes on behind its last
// whole line; a line cut short by the end of its process is cut off.
func (l *eventLog) takeUp(file *os.File) error {
	lines, err := openLines(l.path)
	if err != nil {
		return err
	}
	defer lines.Close()
	if _, err := lines.next(); err != nil {
		return err
	}
	whole := lines.read
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			break
		}
		whole = lines.read
		if r.ID > 0 {
			l.last = r.ID
		}
		if r.Cursor != nil {
			l.cursor = *r.Cursor
		}
	}
	if err := file.Truncate(whole); err != nil {
		return fmt.Errorf("cut off a half-written line: %w", err)
	}
	l.file = file
	return nil
}
