package job

import (
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// settle frees what can be freed after a busy time.
func (s *Server[O]) settle() {
	s.compact()
	if s.Settled != nil {
		s.Settled()
	}
}

// compact moves what is remembered of finished jobs onto a shelf, without what
// only a running job needs. The runtime does not move what lies between the
// garbage of a busy time, and gives no page back while anything is on it. A job
// that is read at this moment stays as it is.
func (s *Server[O]) compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := newShelf(len(s.finished))
	jobs, finished := make(map[string]*job, len(s.jobs)), make([]*job, len(s.finished))
	for i, j := range s.finished {
		finished[i] = j.compacted(room, s.Log)
		jobs[finished[i].id] = finished[i]
	}
	for id, j := range s.jobs {
		if jobs[id] == nil { // it runs
			jobs[id] = j
		}
	}
	s.jobs, s.finished = jobs, finished
}

// shelf is a few large pieces of memory that many jobs lie in, each beside the
// next. It goes when the last of them is forgotten.
type shelf struct {
	jobs  []job
	logs  []eventLog
	times []time.Time
	texts strings.Builder // the newest piece of all texts
	bytes []byte          // the newest piece of all bytes
}

// pieceOfShelf is how large a piece of texts or bytes is, unless what it is for is
// larger.
const pieceOfShelf = 64 << 10

func newShelf(n int) *shelf {
	return &shelf{jobs: make([]job, 0, n), logs: make([]eventLog, 0, n), times: make([]time.Time, 0, 2*n)}
}

func (s *shelf) text(t string) string {
	if s.texts.Cap()-s.texts.Len() < len(t) {
		s.texts = strings.Builder{}
		s.texts.Grow(max(pieceOfShelf, len(t)))
	}
	s.texts.WriteString(t)
	all := s.texts.String()
	return all[len(all)-len(t):]
}

func (s *shelf) raw(b []byte) []byte {
	if b == nil {
		return nil
	}
	if cap(s.bytes)-len(s.bytes) < len(b) {
		s.bytes = make([]byte, 0, max(pieceOfShelf, len(b)))
	}
	at := len(s.bytes)
	s.bytes = append(s.bytes, b...)
	return s.bytes[at:len(s.bytes):len(s.bytes)]
}

func (s *shelf) time(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	s.times = append(s.times, *t)
	return &s.times[len(s.times)-1]
}

// compacted is a copy of a finished job on the shelf, or the job itself where its
// log still needs its memory.
func (j *job) compacted(s *shelf, logger zerolog.Logger) *job {
	j.mu.Lock()
	defer j.mu.Unlock()
	log := j.log.compacted(s)
	if log == nil {
		return j
	}
	s.jobs = append(s.jobs, job{
		id: s.text(j.id), operation: j.operation, by: s.text(j.by), digest: j.digest, created: j.created,
		log: log, logger: logger, cancel: func(error) {},
		op: s.raw(j.op), state: j.state, started: s.time(j.started), finished: s.time(j.finished), err: j.err,
	})
	return &s.jobs[len(s.jobs)-1]
}

// compacted is a copy of a log that has ended and is all in its file, or nil for
// one that is not, or that somebody reads.
func (l *eventLog) compacted(s *shelf) *eventLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended || l.readers > 0 || l.written != l.last || l.name != "" {
		return nil
	}
	s.logs = append(s.logs, eventLog{path: s.text(l.path), tailBytes: l.tailBytes, whole: l.whole, written: l.written, last: l.last, ended: true})
	return &s.logs[len(s.logs)-1]
}
