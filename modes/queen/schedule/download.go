package schedule

import "rbee.dev/rbee/ops"

// Download is a model that is being brought, for [Scheduler.Explain] of all who wait
// for it: which hives were considered, and why each lost.
type Download struct {
	s         *Scheduler
	reference string
	decisions []ops.Decision
}

// Download begins to remember how the model that a reference means is brought. It is
// told to those who wait for that, and to those who come until it is over.
func (s *Scheduler) Download(reference string) *Download {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &Download{s: s, reference: reference}
	if s.downloads == nil {
		s.downloads = map[string]*Download{}
	}
	s.downloads[reference] = d
	for _, st := range s.past.stories {
		if st.asked == reference && st.found.IsZero() && st.ended == "" && st.brought == nil {
			st.brought = d
		}
	}
	return d
}

// Decided adds a decision.
func (d *Download) Decided(x ops.Decision) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	x.Workers = []ops.Considered{}
	if more := len(x.Hives) - keptSeen; more > 0 {
		x.Hives, x.Omitted = x.Hives[:keptSeen], more
	}
	if len(d.decisions) < keptDecisions {
		d.decisions = append(d.decisions, x)
	}
}

// Failed says why nothing came of the last decision.
func (d *Download) Failed(err error) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if n := len(d.decisions); n > 0 {
		d.decisions[n-1].Failed = ops.AsError(err).Message
	}
}

// Over says that the model is there, or will not be.
func (d *Download) Over() {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if d.s.downloads[d.reference] == d {
		delete(d.s.downloads, d.reference)
	}
}
