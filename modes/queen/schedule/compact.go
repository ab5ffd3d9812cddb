package schedule

import "strings"

// Compact moves what is remembered of requests together, for when a busy time is
// over. Each by itself among that time's garbage, they would keep the pages that
// they lie on from being given back.
func (s *Scheduler) Compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past.compact()
}

// compact makes the stories anew, in a few large pieces of memory.
func (g *ledger) compact() {
	var decisions, workers, places, text int
	for _, st := range g.stories {
		text += len(st.Job)
		decisions += len(st.decisions)
		for i := range st.decisions {
			workers += len(st.decisions[i].workers)
			places += len(st.decisions[i].places)
		}
	}
	var (
		to   = ledger{stories: make(map[string]*story, len(g.stories)), order: make([]string, len(g.order)), oldest: g.oldest}
		all  = make([]story, 0, len(g.stories))
		made = shelf{decisions: make([]decision, 0, decisions), workers: make([]Candidate, 0, workers), places: make([]Place, 0, places), same: map[string]string{}}
	)
	made.ids.Grow(text)
	for i, id := range g.order {
		st := made.story(g.stories[id])
		all = append(all, st)
		to.order[i] = st.Job
		to.stories[st.Job] = &all[len(all)-1]
	}
	*g = to
}

// shelf is what the stories of a compact ledger consist of.
type shelf struct {
	decisions []decision
	workers   []Candidate
	places    []Place
	ids       strings.Builder
	same      map[string]string // texts that many have
}

// story is a copy of st on the shelf.
func (s *shelf) story(st *story) story {
	c := *st
	s.ids.WriteString(c.Job)
	c.Job = s.ids.String()[s.ids.Len()-len(c.Job):]
	c.Model, c.Alias, c.Client, c.Hive = s.shared(c.Model), s.shared(c.Alias), s.shared(c.Client), s.shared(c.Hive)
	c.Engine, c.Device = s.shared(c.Engine), s.shared(c.Device)
	from := len(s.decisions)
	for _, d := range st.decisions {
		d.workers, s.workers = shelved(s.workers, d.workers)
		d.places, s.places = shelved(s.places, d.places)
		s.decisions = append(s.decisions, d)
	}
	c.decisions = s.decisions[from:len(s.decisions):len(s.decisions)]
	return c
}

// shared is t, which others have too.
func (s *shelf) shared(t string) string {
	if known, ok := s.same[t]; ok {
		return known
	}
	s.same[t] = t
	return t
}

// shelved appends list to on, and returns it as it lies there. What is appended to
// it later goes elsewhere.
func shelved[T any](on, list []T) (placed, longer []T) {
	from := len(on)
	longer = append(on, list...)
	return longer[from:len(longer):len(longer)], longer
}
