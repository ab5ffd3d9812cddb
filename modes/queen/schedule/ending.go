package schedule

import (
	"slices"
	"time"

	"rbee.dev/rbee/ops"
)

// End remembers, for [Scheduler.Explain], how a request was over, and why where it
// was not answered to the end. Of one that nothing is remembered of it does nothing.
func (s *Scheduler) End(job string, how ops.Ended, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.past.stories[job]
	if st == nil {
		return
	}
	st.ended, st.endedAt, st.news = how, time.Now(), true
	if st.err == nil {
		st.err = why
	}
}

// News is what there is to tell of requests, as [Scheduler.Explain] tells it, of
// which something was noted since it was called last: the newest most of them, the
// oldest first. Others are not told of later either.
func (s *Scheduler) News(most int) []ops.Explanation {
	var list []ops.Explanation
	for _, job := range s.fresh(most) {
		s.mu.Lock() // for each anew, so that no request waits for long
		if st := s.past.stories[job]; st != nil {
			list = append(list, s.tell(st))
		}
		s.mu.Unlock()
	}
	return list
}

// fresh are the ids of those requests.
func (s *Scheduler) fresh(most int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &s.past
	var ids []string
	for i := len(g.order) - 1; i >= 0; i-- { // the newest first
		job := g.order[(g.oldest+i)%len(g.order)]
		st := g.stories[job]
		if !st.news {
			continue
		}
		if st.news = false; len(ids) < most {
			ids = append(ids, job)
		}
	}
	slices.Reverse(ids)
	return ids
}

// Untold has [Scheduler.News] tell of them again.
func (s *Scheduler) Untold(list []ops.Explanation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range list {
		if st := s.past.stories[x.JobID]; st != nil {
			st.news = true
		}
	}
}
