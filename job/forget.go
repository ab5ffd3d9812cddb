package job

import (
	"os"
	"time"
)

// forget drops finished jobs that are older than Retain, and the oldest of
// those beyond MaxFinished, with their files; not those that somebody reads at
// this moment. It runs whenever a job ends, is asked for or submitted, so nothing
// has to wake up for it. The caller holds the lock.
func (s *Server[O]) forget(now time.Time) {
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
		delete(s.jobs, j.id)
		if err := os.Remove(j.log.where()); err != nil {
			s.Log.Warn().Err(err).Msg("the log of a forgotten job stays")
		}
	}
	all := s.finished
	s.finished = append(append(all[:0], keep...), all[seen:]...)
	clear(all[len(s.finished):])
}
