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
// which something was noted since News has told of them: the newest most of them, the
// oldest first.
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
	var ids []string
	for _, job := range slices.Backward(s.past.order) {
		if len(ids) == most {
			break
		}
		if st := s.past.stories[job]; st.news {
			st.news = false
			ids = append(ids, job)
		}
	}
	slices.Reverse(ids)
	return ids
}

// Written says that what [Scheduler.News] has told is written down: those requests
// that are over are forgotten here.
func (s *Scheduler) Written(list []ops.Explanation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past.forget(list)
}

// Unwritten is how many requests there is news of.
func (s *Scheduler) Unwritten() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.past.stories {
		if st.news {
			n++
		}
	}
	return n
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
