package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rbee.dev/rbee/ops"
)

// restore remembers the jobs whose logs are in the folder and returns those
// that are to be run again, oldest first. A file that is no job's log is left
// alone and reported.
func (s *Server[O]) restore() (unfinished []*job, err error) {
	files, err := os.ReadDir(s.Dir)
	if err != nil {
		return nil, fmt.Errorf("read the folder of the jobs' logs: %w", err)
	}
	for _, f := range files {
		path := filepath.Join(s.Dir, f.Name())
		if strings.HasSuffix(f.Name(), logSuffix+asideSuffix) {
			s.discard(path, "its job failed, and the log could not be written to the end")
		}
		id, ok := strings.CutSuffix(f.Name(), logSuffix)
		if strings.HasPrefix(f.Name(), sparePrefix) {
			id, path, ok = s.adopt(path)
		}
		if !ok {
			continue
		}
		j, err := s.restoreJob(id, path)
		switch {
		case errors.Is(err, io.EOF):
			s.discard(path, "the daemon was killed before it took the job")
		case err != nil:
			s.Log.Error().Err(err).Str("file", path).Msg("this is not a job that can be taken up again")
		case j.finished == nil:
			unfinished = append(unfinished, j)
		}
	}
	slices.SortFunc(s.finished, func(a, b *job) int { return a.finished.Compare(*b.finished) })
	slices.SortFunc(unfinished, func(a, b *job) int { return a.created.Compare(b.created) })
	return unfinished, nil
}

// adopt gives a job's log its name whose daemon was killed before it could, and
// returns both. Of a spare that no job has begun it says no.
func (s *Server[O]) adopt(spare string) (id, path string, ok bool) {
	lines, err := openLines(spare, 0)
	if err != nil {
		s.Log.Error().Err(err).Str("file", spare).Msg("this may be a job's log and cannot be read")
		return "", "", false
	}
	head, err := readHeader(lines)
	if err == nil {
		err = ops.CheckJobID(head.ID)
	}
	path = filepath.Join(s.Dir, head.ID+logSuffix)
	if err == nil {
		_, err = os.Lstat(path)
	}
	if !errors.Is(err, fs.ErrNotExist) { // nobody has been told of a job that is not there in full
		s.Log.Debug().AnErr("remove", os.Remove(spare)).AnErr("why", err).Str("file", spare).Msg("removing a log that no job has")
		return "", "", false
	}
	if err := os.Rename(spare, path); err != nil {
		s.Log.Error().Err(err).Str("file", spare).Msg("a job's log cannot be given its name")
		return "", "", false
	}
	return head.ID, path, true
}

// discard removes the log of a job that is not known any more.
func (s *Server[O]) discard(path, why string) {
	s.Log.Warn().Err(os.Remove(path)).Str("file", path).Str("why", why).Msg("removing a job's log")
}

func (s *Server[O]) restoreJob(id, path string) (*job, error) {
	lines, err := openLines(path, 0)
	if err != nil {
		return nil, err
	}
	head, err := readHeader(lines)
	if err != nil {
		return nil, fmt.Errorf("read the first line: %w", err)
	}
	if head.ID != id {
		return nil, fmt.Errorf("it is of job %q", head.ID)
	}
	log, end, err := openLog(path, s.TailBytes)
	if err != nil {
		return nil, err
	}
	j := newJob(head, log, s.Log)
	j.started = &head.CreatedAt // a job starts at once, and its log tells of no other start
	s.jobs[id] = j
	if end != nil {
		j.conclude(*end)
		s.finished = append(s.finished, j)
		if ops.IsLookup(j.operation) {
			s.lookups++
		}
	}
	return j, nil
}

// resume runs a job that was unfinished when the last process ended.
func (s *Server[O]) resume(j *job) {
	o, _, err := ops.Decode[O](j.op)
	if err != nil {
		j.begin()
		s.finish(j, ops.JobFailed, nil, ops.Errorf(ops.CodeUnsupported, "this build cannot take the job up again: %w", err))
		return
	}
	j.logger.Info().Uint64("event", j.log.last).Msg("taking the job up again")
	s.start(j, o)
}

// readHeader reads the first line of a job's log and closes it. io.EOF says that
// the line is not there in full.
func readHeader(lines *lineReader) (header, error) {
	var head header
	defer lines.Close()
	first, err := lines.next()
	if err != nil {
		return head, err
	}
	err = json.Unmarshal(first, &head)
	return head, err
}
