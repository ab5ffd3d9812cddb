package job

import (
	"os"
	"time"
)

// forget drops finished jobs that are older than Retain, and the oldest of
// those beyond MaxFinished, with their files. It runs whenever jobs are asked
// for or submitted, so nothing has to wake up for it. The caller holds the lock.
func (s *Server[O]) forget(now time.Time) {
	drop := 0
	for i, j := range s.finished {
		if now.Sub(*j.endedAt()) <= s.Retain && len(s.finished)-i <= s.MaxFinished {
			break
		}
		delete(s.jobs, j.id)
		if err := os.Remove(j.log.where()); err != nil {
			s.Log.Warn().Err(err).Msg("the log of a forgotten job stays")
		}
		drop++
	}
	if drop > 0 {
		s.finished = append(s.finished[:0:0], s.finished[drop:]...) // let the memory go too
	}
}
