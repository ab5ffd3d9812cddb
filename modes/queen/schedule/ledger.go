package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

const (
	// keptStories is how many requests are remembered, the newest.
	keptStories = 2000
	// keptDecisions is how many of the decisions about one are, the first and the
	// newest.
	keptDecisions = 8
	// keptSeen is how many workers and hives each are remembered of a decision.
	keptSeen = 32
)

// ledger is why requests went where they did. It keeps what was seen, as it was
// then, and puts it into words when somebody asks.
type ledger struct {
	stories map[string]*story
	order   []string // ids in a ring, see oldest
	oldest  int
}

// story is one request's.
type story struct {
	Request
	at        time.Time
	asked     string    // where its model comes from, where that was named
	found     time.Time // when that was there
	decisions []decision
	err       error
}

// decision is what was seen and said once.
type decision struct {
	at      time.Time
	act     Act
	held    bool
	refused bool        // in place of waiting
	workers []Candidate // the chosen one first, where one was
	places  []Place     // likewise
	omitted int
}

// begin notes that r has come, and waits.
func (g *ledger) begin(r *Request) {
	if r.Job != "" {
		g.story(r)
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
	if len(st.decisions) == keptDecisions {
		st.decisions = slices.Delete(st.decisions, 1, 2)
	}
	st.decisions = append(st.decisions, d)
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
		if st.asked != "" && st.found.IsZero() && r.Model != st.asked {
			st.Model, st.found = r.Model, time.Now()
		}
		return st
	}
	if g.stories == nil {
		g.stories = map[string]*story{}
	}
	st := &story{Request: *r, at: time.Now()}
	st.Prefixes, st.Without = nil, nil
	g.stories[r.Job] = st
	if len(g.order) < keptStories {
		g.order = append(g.order, r.Job)
		return st
	}
	delete(g.stories, g.order[g.oldest])
	g.order[g.oldest] = r.Job
	g.oldest = (g.oldest + 1) % keptStories
	return st
}

// fail notes that the request got no worker, and why. What was seen last is why it
// was sent away, unless it went by itself or too many waited.
func (g *ledger) fail(r *Request, err error) {
	if r.Job == "" {
		return
	}
	st := g.story(r)
	st.err = err
	code := ops.CodeOf(err)
	if n := len(st.decisions); n > 0 && st.decisions[n-1].act == Wait && code != ops.CodeCancelled && code != ops.CodeBusy {
		st.decisions[n-1].refused = true
	}
}

// Refuse remembers, for [Scheduler.Explain], that r was refused before it was
// asked whom to give it to.
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
	s.past.story(&r).asked = r.Model
}

// Explain tells which workers and hives were considered for a job or a request,
// and why each lost. One that is not remembered is not_found.
func (s *Scheduler) Explain(job string) (ops.Explanation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.past.stories[job]
	if st == nil {
		e := ops.Errorf(ops.CodeNotFound, "nothing is remembered of a choice for %q", job)
		e.Field = "id"
		return ops.Explanation{}, e.WithHint("the newest %d are remembered until the queen ends: jobs that name no worker (`rbee job list` shows them), and requests to the APIs (the X-Rbee-Job header of their answers)", keptStories)
	}
	x := ops.Explanation{
		JobID: job, Model: st.Model, Client: st.Client, Priority: st.priority(), At: st.at.UTC(), Decisions: make([]ops.Decision, 0, len(st.decisions)),
	}
	for i := range st.decisions {
		x.Decisions = append(x.Decisions, st.decisions[i].tell(&st.Request))
	}
	if n := len(st.decisions); n > 0 {
		x.WaitedMS = float64(st.decisions[n-1].at.Sub(st.at).Microseconds()) / 1000
	}
	if x.Asked = st.asked; st.asked != "" && st.found.IsZero() {
		x.Model = ""
	} else if st.asked != "" {
		x.FoundMS = float64(st.found.Sub(st.at).Microseconds()) / 1000
	}
	if e := ops.AsError(st.err); e != nil {
		if x.Error = e.Message; !strings.Contains(e.Hint, "rbee explain") { // which is what this is
			x.Hint = e.Hint
		}
	}
	return x, nil
}

// tell puts a decision into words.
func (d *decision) tell(r *Request) ops.Decision {
	x := ops.Decision{At: d.at.UTC(), Workers: []ops.Considered{}, Hives: []ops.Considered{}, Omitted: d.omitted}
	switch d.act {
	case Use:
		x.Outcome, x.HiveID, x.WorkerID = ops.DecidedWorker, d.workers[0].Hive(), d.workers[0].ID()
	case Start:
		x.Outcome, x.HiveID = ops.DecidedStart, d.places[0].Hive()
	case Claim:
		x.Outcome, x.HiveID = ops.DecidedRoom, d.places[0].Hive()
	case Wait:
		x.Outcome, x.Coming = ops.DecidedWait, d.held
		if d.refused {
			x.Outcome, x.Coming = ops.DecidedRefused, false
		}
	}
	for i := range d.workers {
		c := &d.workers[i]
		why := d.whyWorker(c, i)
		if c.Barred == Elsewhere {
			why = r.narrowed()
		}
		x.Workers = append(x.Workers, ops.Considered{
			HiveID: c.Hive(), WorkerID: c.ID(), Chosen: d.act == Use && i == 0, Reason: d.word(c), Why: why,
		})
	}
	for i := range d.places {
		p := &d.places[i]
		c := ops.Considered{HiveID: p.Hive(), Chosen: (d.act == Start || d.act == Claim) && i == 0, Reason: texts[p.Barred].word, Why: d.whyPlace(p, i)}
		if p.Barred == Elsewhere {
			c.Why = r.narrowed()
		}
		x.Hives = append(x.Hives, c)
	}
	return x
}

// word is why a worker lost, for programs.
func (d *decision) word(c *Candidate) string {
	switch {
	case c.Barred != 0:
		return texts[c.Barred].word
	case c.Taken >= c.Slots:
		return "full"
	case d.act == Use && c.load(&d.workers[0]) != 0:
		return "load"
	case d.act == Use && c.Warm != d.workers[0].Warm:
		return "cache"
	}
	return ""
}

func (d *decision) whyWorker(c *Candidate, at int) string {
	taken := fmt.Sprintf("%d of %d slots taken", c.Taken, c.Slots)
	first := d.act == Use && at == 0
	switch {
	case c.Barred != 0:
		return c.Barred.String()
	case first && c.Warm > 0:
		return taken + ", and its cache likely holds the beginning"
	case first:
		return taken
	case c.Taken >= c.Slots:
		return fmt.Sprintf("all of its slots are taken, %d of %d", c.Taken, c.Slots)
	case d.act != Use:
		return taken
	}
	chosen := &d.workers[0]
	switch {
	case c.load(chosen) != 0:
		return fmt.Sprintf("%s, the chosen one has %d of %d", taken, chosen.Taken, chosen.Slots)
	case c.Warm != chosen.Warm:
		return taken + ", but its cache holds less of the beginning"
	case c.Slots != chosen.Slots:
		return taken + ", the chosen one has more"
	}
	return taken + ", as good; the chosen one comes first by place and name"
}

func (d *decision) whyPlace(p *Place, at int) string {
	if d.act == Claim && at == 0 {
		return "its busy workers have had their share of time: they get no more requests, and make room"
	}
	if p.Barred != 0 {
		return p.Barred.String()
	}
	text := "the model is on its disk"
	if !p.OnDisk {
		text = "it can get the model"
	}
	switch {
	case p.Fast && p.Evicts:
		text += "; its accelerators hold it once idle workers are unloaded"
	case p.Evicts:
		text += "; there is room once idle workers are unloaded"
	case p.Fast:
		text += "; its accelerators hold it"
	case p.Free > 0:
		text += "; there is room in its memory"
	}
	if d.act == Start && at > 0 {
		text += "; the chosen one is better placed"
	}
	return text
}
