package job

import (
	"os"
	"slices"
	"time"

	"rbee.dev/rbee/ops"
)

// forget drops finished jobs that are older than Retain, and the oldest of
// those beyond MaxFinished, with their files; not those that somebody reads at
// this moment. Jobs that only looked what there is go before others, which who
// looks often would push out. It runs whenever a job ends, is asked for or
// submitted, so nothing has to wake up for it. The caller holds the lock.
func (s *Server[O]) forget(now time.Time) {
	for s.lookups > 0 && len(s.finished) > s.MaxFinished {
		i := slices.IndexFunc(s.finished, func(j *job) bool { return ops.IsLookup(j.operation) && !j.log.isRead() })
		if i < 0 {
			break
		}
		s.drop(s.finished[i])
		s.finished = slices.Delete(s.finished, i, i+1)
	}
	var keep []*job
	seen := 0
	for _, j := range s.finished {
		if now.Sub(*j.endedAt()) <= s.Retain && len(s.finished)-seen <= s.MaxFinished {
			break
		}
		seen++
		if j.log.isRead() {
			keep = append(keep, j)
			continue
		}
		s.drop(j)
	}
	all := s.finished
	s.finished = append(append(all[:0], keep...), all[seen:]...)
	clear(all[len(s.finished):])
}

// drop has a finished job be known no more.
func (s *Server[O]) drop(j *job) {
	delete(s.jobs, j.id)
	if ops.IsLookup(j.operation) {
		s.lookups--
	}
	path := j.log.where()
	if path == "" {
		return
	}
	if err := os.Remove(path); err != nil {
		s.Log.Warn().Err(err).Msg("the log of a forgotten job stays")
	}
}
