package job

import (
	"os"
	"slices"
	"time"
)

// forget drops finished jobs that are older than Retain, and the oldest of
// those beyond MaxFinished, with their files. It runs whenever jobs are asked
// for or submitted, so nothing has to wake up for it.
func (s *Server[O]) forget(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var finished []*job
	for _, j := range s.jobs {
		if j.endedAt() != nil {
			finished = append(finished, j)
		}
	}
	slices.SortFunc(finished, func(a, b *job) int { return a.endedAt().Compare(*b.endedAt()) })
	for i, j := range finished {
		if now.Sub(*j.endedAt()) <= s.Retain && len(finished)-i <= s.MaxFinished {
			return
		}
		delete(s.jobs, j.head.ID)
		if err := os.Remove(j.log.path); err != nil {
			s.Log.Warn().Err(err).Msg("the log of a forgotten job stays")
		}
	}
}

// endedAt is when the job ended, or nil.
func (j *job) endedAt() *time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.finished
}
