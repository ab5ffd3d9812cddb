package schedule

import (
	"slices"
	"time"

	"rbee.dev/rbee/ops"
)

const (
	// keptStories is how many requests are remembered here at most, the newest.
	keptStories = 2000
	// keptDecisions is how many of the decisions about one are, the first and the
	// newest.
	keptDecisions = 8
	// keptSeen is how many workers and hives each are remembered of a decision.
	keptSeen = 32
)

// ledger is why requests went where they did, of those that are not over or not
// written down yet. It keeps what was seen, as it was then, and puts it into words
// when somebody asks.
type ledger struct {
	stories map[string]*story
	order   []string // their ids, the oldest first
}

// story is one request's.
type story struct {
	Request
	at        time.Time
	asked     string    // where its model comes from, where that was named
	found     time.Time // when that was there
	brought   *Download // how, or nil
	decisions []decision
	place, of int       // in the queue, when it came; 0 where it did not have to wait
	gone      time.Time // when it waited no more, without a worker
	err       error     // why it was not answered to the end
	ended     ops.Ended // how it was over
	endedAt   time.Time
	news      bool // something was noted that [Scheduler.News] has not told
}

// decision is what was seen and said once.
type decision struct {
	at      time.Time
	act     Act
	held    bool
	instead ops.Decided // of waiting, or ""
	workers []Candidate // the chosen one first, where one was
	places  []Place     // likewise
	omitted int
	failed  string   // why nothing came of it
	notes   []string // what was done for it, as the hive tells
}

// begin notes that r has come, and waits at that place in a queue of so many.
func (g *ledger) begin(r *Request, place, of int) {
	if r.Job == "" {
		return
	}
	if st := g.story(r); st.place == 0 {
		st.place, st.of = place, of
	}
}

// note notes a decision about r. Where the request waits on, only a change counts,
// and that it waits for a worker that was started for it is no news.
func (g *ledger) note(r *Request, v *View, c Choice) {
	if r.Job == "" {
		return
	}
	st := g.story(r)
	if n := len(st.decisions); n > 0 && c.Act == Wait {
		last := &st.decisions[n-1]
		if last.act == Wait && last.held == v.Held && last.sees(v.found) || last.act == Start && v.Held || last.act == Claim {
			return
		}
	}
	st.add(see(r, v, c))
}

// add adds a decision to those that are kept.
func (st *story) add(d decision) {
	if len(st.decisions) == keptDecisions {
		st.decisions = slices.Delete(st.decisions, 1, 2)
	}
	st.decisions = append(st.decisions, d)
}

// turnAway notes that r does not wait, or not any more, as so many do.
func (g *ledger) turnAway(r *Request, v *View, how ops.Decided, forWhom string) {
	d := see(r, v, Choice{})
	if d.instead = how; forWhom != "" {
		d.notes = []string{"for " + forWhom}
	}
	g.story(r).add(d)
}

// see is a decision about r as it is made.
func see(r *Request, v *View, c Choice) decision {
	d := decision{at: time.Now(), act: c.Act, held: v.Held}
	worker, at := -1, -1
	switch c.Act {
	case Use:
		worker = c.At
	case Start, Claim:
		at = c.At
	case Wait:
	}
	var left int
	d.workers, left = seenWorkers(r, v, worker)
	d.omitted += left
	if c.Act != Use {
		d.places, left = seenPlaces(v.found, at)
		d.omitted += left
	}
	return d
}

// sees reports whether the hives are as they were when d was decided, as far as
// they were kept.
func (d *decision) sees(places []Place) bool {
	return slices.EqualFunc(d.places, places[:min(len(places), keptSeen)], func(a, b Place) bool {
		return a.hive == b.hive && a.Barred == b.Barred
	})
}

// seenWorkers copies what r was decided on: the chosen worker first, then those
// that the policy saw, and others as far as there is room, in their order.
func seenWorkers(r *Request, v *View, chosen int) (kept []Candidate, omitted int) {
	var all []*worker
	if v.line != nil {
		all = v.line.workers
	}
	kept = make([]Candidate, 0, min(len(all), keptSeen))
	if chosen >= 0 {
		kept = append(kept, v.Workers[chosen])
	}
	head := len(kept)
	for i := 0; i < len(v.Workers) && len(kept) < keptSeen; i++ {
		if i != chosen {
			kept = append(kept, v.Workers[i])
		}
	}
	shown := kept
	for i := 0; i < len(all) && len(kept) < keptSeen; i++ {
		w := all[i]
		if slices.ContainsFunc(shown, func(c Candidate) bool { return c.worker == w }) {
			continue
		}
		c := w.candidate()
		r.bar(&c)
		kept = append(kept, c)
	}
	slices.SortFunc(kept[head:], func(a, b Candidate) int { return compareWorkers(a.worker, b.worker) })
	return kept, len(all) - len(kept)
}

// seenPlaces copies some of list, that at chosen first.
func seenPlaces(list []Place, chosen int) (kept []Place, omitted int) {
	kept = make([]Place, 0, min(len(list), keptSeen))
	if chosen >= 0 {
		kept = append(kept, list[chosen])
	}
	for i := 0; i < len(list) && len(kept) < keptSeen; i++ {
		if i != chosen {
			kept = append(kept, list[i])
		}
	}
	return kept, len(list) - len(kept)
}

// story is what is remembered of r, begun if need be.
func (g *ledger) story(r *Request) *story {
	if st := g.stories[r.Job]; st != nil {
		st.news = true
		if st.asked != "" && st.found.IsZero() && r.Model != st.asked {
			st.Model, st.found = r.Model, time.Now()
		}
		return st
	}
	if g.stories == nil {
		g.stories = map[string]*story{}
	}
	st := &story{Request: *r, at: r.came(), news: true}
	st.Prefixes, st.Without = nil, nil
	g.stories[r.Job] = st
	if g.order = append(g.order, r.Job); len(g.order) > keptStories {
		delete(g.stories, g.order[0])
		g.order = g.order[1:]
	}
	return st
}

// forget forgets those of the requests that are over and of which nothing is news.
func (g *ledger) forget(list []ops.Explanation) {
	for _, x := range list {
		if st := g.stories[x.JobID]; st != nil && st.ended != "" && !st.news {
			delete(g.stories, x.JobID)
		}
	}
	if len(g.stories) == 0 {
		*g = ledger{} // a map stays as large as it ever was
		return
	}
	g.order = slices.DeleteFunc(g.order, func(job string) bool { return g.stories[job] == nil })
}

// fail notes that the request got no worker, and why. What was seen last is why it
// was sent away, unless it went by itself or too many waited; where all that is to be
// told is the start which failed before, that is told of once.
func (g *ledger) fail(r *Request, err error) {
	if r.Job == "" {
		return
	}
	st := g.story(r)
	st.err = err
	code := ops.CodeOf(err)
	n := len(st.decisions)
	if n == 0 || st.decisions[n-1].act != Wait || code == ops.CodeCancelled || code == ops.CodeBusy {
		return
	}
	last := &st.decisions[n-1]
	if n > 1 && last.repeats(&st.decisions[n-2], err) {
		st.decisions = st.decisions[:n-1]
		return
	}
	last.instead = ops.DecidedRefused
}

// left notes that the request waits no more, and has got no worker.
func (g *ledger) left(r *Request, err error) {
	if r.Job == "" {
		return
	}
	g.story(r).gone = time.Now()
	g.fail(r, err)
}

// repeats reports whether to be refused with err tells nothing that the decision
// before does not, which was to start a worker: that this has failed, and of no hive
// that was not considered then.
func (d *decision) repeats(before *decision, err error) bool {
	return before.act == Start && before.failed == ops.AsError(err).Message && !slices.ContainsFunc(d.places, func(p Place) bool {
		return !slices.ContainsFunc(before.places, func(q Place) bool { return q.hive == p.hive })
	})
}

// Refuse remembers, for [Scheduler.Explain], that r was refused before it was
// asked whom to give it to, or that all who were given it have failed.
func (s *Scheduler) Refuse(r Request, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past.fail(&r, err)
}

// Bring remembers, for [Scheduler.Explain], that r waits until its model is there:
// r names where it comes from.
func (s *Scheduler) Bring(r Request) {
	if r.Job == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.past.story(&r)
	st.asked, st.brought = r.Model, s.downloads[r.Model]
}

// Failed remembers, for [Scheduler.Explain], that the worker which was lent to a
// request last has failed it.
func (s *Scheduler) Failed(job string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past.came(job, Use, err, nil)
}

// came notes what has come of the last decision about a request, if it was of that
// kind.
func (g *ledger) came(job string, act Act, err error, notes []string) {
	st := g.stories[job]
	if st == nil || len(st.decisions) == 0 {
		return
	}
	d := &st.decisions[len(st.decisions)-1]
	if d.act != act && (act != Start || d.act != Wait || !d.held) {
		return
	}
	st.news = true
	if e := ops.AsError(err); e != nil {
		d.failed = e.Message
	}
	d.notes = append(d.notes, notes...)
}
