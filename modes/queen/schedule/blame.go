package schedule

import "time"

// A worker that fails at once is always free, and would draw all the requests. So
// once another has done what it could not, it gets none for a moment while there
// are others. One that fails what others fail, too, is not to blame: it may be the
// request.

// Blame notes that these workers have failed a request that another one answers.
func (s *Scheduler) Blame(workers map[Key]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for k := range workers {
		h := s.hives[k.Hive]
		if h == nil {
			continue
		}
		w := h.workers[k.Worker]
		if w == nil {
			continue
		}
		w.blamed = now
		if w.line.forgive.IsZero() {
			w.line.forgive = now.Add(coolFor)
		}
		w.show()
	}
}

// isBlamed reports whether it is still held against the worker.
func (w *worker) isBlamed() bool { return !w.blamed.IsZero() && time.Since(w.blamed) < coolFor }

// forgiveSome has those be chosen again whose failure is a while ago.
func (l *line) forgiveSome() {
	if l.forgive.IsZero() || time.Now().Before(l.forgive) {
		return
	}
	l.forgive = time.Time{}
	for _, w := range l.workers {
		if w.blamed.IsZero() {
			continue
		}
		if !w.isBlamed() {
			w.blamed = time.Time{}
			w.show()
		} else if at := w.blamed.Add(coolFor); l.forgive.IsZero() || at.Before(l.forgive) {
			l.forgive = at
		}
	}
}

// liftBlame has workers be chosen in spite of it where there are no others.
func liftBlame(list []Candidate) {
	for i := range list {
		if list[i].Barred == 0 {
			return
		}
	}
	for i := range list {
		if list[i].Barred == Failing {
			list[i].Barred = 0
		}
	}
}
