package schedule

import (
	"slices"
	"time"
)

// A worker may lack a route that another one of its model has, as a plain one that of
// embeddings. Who asks for that is given to it last, for a moment; who asks for anything
// else, as ever.

// Answered notes that r is answered: the workers that have failed it are to blame for it,
// or lack its route.
func (s *Scheduler) Answered(r *Request) {
	if len(r.Without) == 0 {
		return
	}
	failed := map[Key]bool{}
	s.mu.Lock()
	for k := range r.Without {
		if !r.lacked[k] {
			failed[k] = true
		} else if h := s.hives[k.Hive]; h != nil && h.workers[k.Worker] != nil {
			h.workers[k.Worker].lack(r.Route)
		}
	}
	s.mu.Unlock()
	s.Blame(failed)
}

// lack notes that the worker has not got the route.
func (w *worker) lack(route string) {
	if w.lacked == nil {
		w.lacked = map[string]time.Time{}
	}
	w.lacked[route] = time.Now()
	if !slices.Contains(w.line.lacking, w) {
		w.line.lacking = append(w.line.lacking, w)
	}
}

// lacksFor reports whether the worker lacked the request's route a moment ago.
func (w *worker) lacksFor(r *Request) bool {
	at, ok := w.lacked[r.Route]
	return ok && time.Since(at) < coolFor
}

// lacksNothing reports whether the worker is gone, or has lacked no route lately.
func (w *worker) lacksNothing() bool {
	for _, at := range w.lacked {
		if time.Since(at) < coolFor {
			return w.gone()
		}
	}
	return true
}

// lackingFor adds to list the workers that lacked r's route a moment ago, as it sees
// them: these are in no group for it.
func (l *line) lackingFor(r *Request, list []Candidate) []Candidate {
	l.lacking = slices.DeleteFunc(l.lacking, (*worker).lacksNothing)
	for _, w := range l.lacking {
		if w.warm > 0 || !w.lacksFor(r) { // a warm one is there already
			continue
		}
		c := w.candidate()
		if r.bar(&c); c.Barred != Tried && c.Barred != Elsewhere {
			list = append(list, c)
		}
	}
	return list
}
