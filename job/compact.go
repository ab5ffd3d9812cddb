package job

import (
	"bytes"
	"strings"

	"github.com/rs/zerolog"
)

// compact makes what is remembered of finished jobs anew, all of it now and
// without what only a running job needs. The runtime does not move what lies
// between the garbage of a busy time, and gives no page back while anything is
// on it; what is made in one go lies close together. A job that is read at this
// moment stays as it is.
func (s *Server[O]) compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	jobs, finished := make(map[string]*job, len(s.jobs)), make([]*job, len(s.finished))
	for i, j := range s.finished {
		finished[i] = j.compacted(s.Log)
		jobs[finished[i].id] = finished[i]
	}
	for id, j := range s.jobs {
		if jobs[id] == nil { // it runs
			jobs[id] = j
		}
	}
	s.jobs, s.finished = jobs, finished
}

// compacted is a copy of a finished job, or the job itself where its log still
// needs its memory.
func (j *job) compacted(logger zerolog.Logger) *job {
	j.mu.Lock()
	defer j.mu.Unlock()
	log := j.log.compacted()
	if log == nil {
		return j
	}
	return &job{
		id: strings.Clone(j.id), operation: j.operation, by: strings.Clone(j.by), digest: j.digest, created: j.created,
		log: log, logger: logger, cancel: func(error) {},
		op: bytes.Clone(j.op), state: j.state, started: copied(j.started), finished: copied(j.finished), err: copied(j.err),
	}
}

// compacted is a copy of a log that has ended and is all in its file, or nil for
// one that is not, or that somebody reads.
func (l *eventLog) compacted() *eventLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended || l.readers > 0 || l.written != l.last {
		return nil
	}
	return &eventLog{path: strings.Clone(l.path), tailBytes: l.tailBytes, whole: l.whole, written: l.written, last: l.last, ended: true}
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
