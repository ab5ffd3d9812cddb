package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// Explain tells which workers and hives were considered for a job or a request,
// and why each lost. One that is not remembered is not_found, as is one that is over
// and written down (see [Scheduler.Written]).
func (s *Scheduler) Explain(job string) (ops.Explanation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.past.stories[job]
	if st == nil {
		return ops.Explanation{}, Unremembered(job)
	}
	return s.tell(st), nil
}

// Unremembered is the error of a job or a request that nothing is remembered of.
func Unremembered(job string) error {
	e := ops.Errorf(ops.CodeNotFound, "nothing is remembered of a choice for %q", job)
	e.Field = "id"
	return e.WithHint("remembered are the newest: infer and worker_spawn where they leave the choice to the queen (`rbee job list`), and requests to the APIs (the X-Rbee-Job header of their answers)")
}

// tell puts what is remembered of a request into words, as it stands now.
func (s *Scheduler) tell(st *story) ops.Explanation {
	x := ops.Explanation{
		JobID: st.Job, Model: st.Model, Alias: st.Alias, Client: st.Client, Priority: st.priority(), At: st.at.UTC(),
		Spawn: st.spawn, Place: st.place, Waiting: st.of, Decisions: make([]ops.Decision, 0, len(st.decisions)+1),
	}
	decisions := st.decisions
	if w := s.waiterOf(st.Job); w != nil {
		x.Waits, x.Place, x.Waiting = true, w.line.at(w)+1, len(w.line.queue)
		decisions = st.withNow(s.seeNow(w))
	}
	if st.brought != nil {
		x.Decisions = append(x.Decisions, st.brought.decisions...)
	}
	for i := range decisions {
		x.Decisions = append(x.Decisions, decisions[i].tell(&st.Request))
	}
	x.WaitedMS = millis(st.waited(decisions, x.Waits))
	if x.Asked = st.asked; st.asked != "" && st.found.IsZero() {
		x.Model = ""
	} else if st.asked != "" {
		x.FoundMS = millis(st.found.Sub(st.at))
	}
	if x.Ended = st.ended; st.ended != "" {
		x.TookMS = millis(st.endedAt.Sub(st.at))
	}
	if e := ops.AsError(st.err); e != nil {
		if x.Error = e.Message; !strings.Contains(e.Hint, "rbee explain") { // which is what this is
			x.Hint = e.Hint
		}
	}
	return x
}

// waited is how long a request has waited: for its first worker, until it left, or
// where it still waits, until now.
func (st *story) waited(decisions []decision, still bool) time.Duration {
	until := st.at
	for i := range decisions {
		until = decisions[i].at
		if decisions[i].act == Use && !still { // what it has waited for once that had failed is told by the others
			return until.Sub(st.at)
		}
	}
	if !still && st.gone.After(until) {
		until = st.gone
	}
	return until.Sub(st.at)
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// waiterOf is the job as it waits, or nil.
func (s *Scheduler) waiterOf(job string) *waiter {
	for l := range s.waiting {
		for _, w := range l.queue {
			if w.Job == job {
				return w
			}
		}
	}
	return nil
}

// seeNow is what w waits for now: those that are not first in their queue are not
// decided about before it is their turn.
func (s *Scheduler) seeNow(w *waiter) decision {
	v := s.view(w.line, &w.Request)
	if v.Held = w.line.coming(&w.Request) >= len(w.line.queue); !v.Held {
		w.withoutFailed(v.Places())
	}
	return see(&w.Request, v, Choice{})
}

// withNow are the decisions and, in place of a last one to wait, what is so now.
func (st *story) withNow(now decision) []decision {
	list := slices.Clone(st.decisions)
	if n := len(list); n > 0 && list[n-1].act == Wait && list[n-1].failed == "" {
		list = list[:n-1]
	}
	return append(list, now)
}

// tell puts a decision into words.
func (d *decision) tell(r *Request) ops.Decision {
	x := ops.Decision{At: d.at.UTC(), Workers: []ops.Considered{}, Hives: []ops.Considered{}, Omitted: d.omitted, Failed: d.failed, Notes: d.notes}
	switch d.act {
	case Use:
		x.Outcome, x.HiveID, x.WorkerID = ops.DecidedWorker, d.workers[0].Hive(), d.workers[0].ID()
	case Start:
		x.Outcome, x.HiveID = ops.DecidedStart, d.places[0].Hive()
	case Claim:
		x.Outcome, x.HiveID = ops.DecidedRoom, d.places[0].Hive()
	case Wait:
		x.Outcome, x.Coming = ops.DecidedWait, d.held
		if d.instead != "" {
			x.Outcome, x.Coming = d.instead, false
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
	case (c.Barred == Loading || c.Barred == Broken) && c.worker.info.Error != "":
		return c.Barred.String() + ": " + c.worker.info.Error
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
	switch {
	case p.Kept:
		text = "a worker of the model comes back there as somebody has started it"
	case !p.OnDisk:
		text = "it can get the model"
	}
	hold, be := "hold", "should be"
	if d.failed != "" && at == 0 { // which may be why
		hold, be = "seemed to hold", "seemed to be"
	}
	switch {
	case p.Fast && p.Evicts:
		text += "; its accelerators " + hold + " it once idle workers are unloaded"
	case p.Evicts:
		text += "; there " + be + " room once idle workers are unloaded"
	case p.Fast:
		text += "; its accelerators " + hold + " it"
	case p.Free > 0:
		text += "; there " + be + " room in its memory"
	}
	if d.act == Start && at > 0 {
		text += "; the chosen one is better placed"
	}
	return text
}
