package schedule

import (
	"cmp"
	"slices"
	"time"

	"rbee.dev/rbee/ops"
)

// hive is one of the fleet, as it was told last. What a choice among a thousand
// looks at comes first: it is in one line of the processor's cache.
type hive struct {
	up, drained        bool
	number             int32  // no other hive has or had it, see line.sites
	memory, fast       int64  // bytes; fast is the accelerators'
	used, held, pinned int64  // see weigh
	claim              *claim // nil where no room is being made

	id        string
	drainedAt uint64    // how many requests had waited when it was drained
	lost      time.Time // when it was up last, where it is down, as far as is known
	why       string    // it is down, as far as that is known
	hangs     bool      // down, until somebody does something about it
	connects  bool      // down, and that it cannot be reached is not known yet

	models  map[string]ops.Model
	newest  ops.Model // of those that somebody added; ID is "" where nobody has
	workers map[string]*worker
	kept    map[string]Kept // by model
}

// worker is one of a hive's.
type worker struct {
	info  ops.Worker
	hive  *hive
	line  *line
	parts []*hive   // that hold parts of its model, as far as they are known
	group *group    // of line's; nil once it is gone
	site  *site     // of line's
	warm  int32     // see [warmth.mark]
	runs  bool      // counted in site.running
	fresh bool      // a start that made it, or could have, is not over: it may say more
	since time.Time // when it had read its model, as far as is known
	given int       // requests that it has been lent to
	peak  peak      // of given
	other int       // requests that others have given it

	loading time.Time            // since when it has been, where it is
	doubted time.Time            // when it broke off last, see [Scheduler.Doubt]
	lacked  map[string]time.Time // when it lacked which routes, see [Scheduler.Answered]
	blamed  time.Time            // when it had failed what another could do, see [Scheduler.Blame]

	prefixes []uint64 // a ring, see [warmth]
	oldest   int
}

// taken is how many of its slots are.
func (w *worker) taken() int { return w.given + w.other }

// peak is the most that a number has been lately.
type peak struct {
	since     time.Time
	last, now int
}

// lately is how far back that goes, at least: a worker's count of its requests
// arrives later than the scheduler's own.
const lately = 100 * time.Millisecond

// note notes the number, and returns the most that it has been.
func (p *peak) note(n int, at time.Time) int {
	if past := at.Sub(p.since); past > lately {
		p.last, p.now, p.since = p.now, n, at
		if past > 2*lately {
			p.last = n
		}
	}
	p.now = max(p.now, n)
	return max(p.last, p.now)
}

// compareHives puts the queen's own machine first, and the others by name.
func compareHives(a, b *hive) int {
	return cmp.Or(cmp.Compare(away(a.id), away(b.id)), cmp.Compare(a.id, b.id))
}

func away(id string) int {
	if id == ops.LocalHive {
		return 0
	}
	return 1
}

// hiveOf is the hive, taken in if it is new.
func (s *Scheduler) hiveOf(id string) *hive {
	h := s.hives[id]
	if h == nil {
		h = &hive{id: id, number: s.numbered, models: map[string]ops.Model{}, workers: map[string]*worker{}}
		s.hives[id] = h
		s.numbered++
		at, _ := slices.BinarySearchFunc(s.order, h, compareHives)
		s.order = slices.Insert(s.order, at, h)
	}
	return h
}

// Heard takes over what a hive that is up says of itself.
func (s *Scheduler) Heard(id string, snapshot ops.HiveSnapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hiveOf(id)
	was := h.up
	h.up, h.why, h.hangs, h.connects = true, "", false, false
	if !was {
		s.found(h)
		s.showDivided(h)
	}
	h.memory, h.fast = memories(snapshot.Hive.Devices)
	s.setModels(h, snapshot.Models)
	s.setWorkers(h, snapshot.Workers)
	h.weigh()
	s.dispatchAll()
}

// Remember takes over what a hive said last that is not reached yet: its models, and
// which of them are divided.
func (s *Scheduler) Remember(id string, snapshot ops.HiveSnapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hiveOf(id)
	if id != ops.LocalHive { // which is started by whoever needs it
		h.connects, h.lost = true, time.Now()
	}
	s.setModels(h, snapshot.Models)
	s.miss(h, snapshot.Workers)
}

// Lost notes that a hive is down. Its models stay known, its workers do not count
// any more.
func (s *Scheduler) Lost(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hives[id]
	if h == nil || !h.up {
		return
	}
	h.up, h.lost = false, time.Now()
	for l := range s.waiting {
		for _, w := range l.queue {
			w.pardon(h)
		}
	}
	s.unclaim(h.claim)
	for _, w := range h.workers {
		s.miss(h, []ops.Worker{w.info})
	}
	s.setWorkers(h, nil)
	h.weigh()
	s.dispatchAll()
}

// Down notes why a hive is down, for those who are refused on that account.
func (s *Scheduler) Down(id, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hives[id]; h != nil && !h.up {
		h.why = why
		if h.connects && why != "" {
			h.connects, h.lost = false, time.Time{}
			s.dispatchAll()
		}
	}
}

// Stays notes that a hive which is down does not come back by itself, so that nobody
// waits for it.
func (s *Scheduler) Stays(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hives[id]; h != nil && !h.up && !h.hangs {
		h.hangs = true
		s.showDivided(h)
		s.dispatchAll()
	}
}

// Forget takes a hive out.
func (s *Scheduler) Forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hives[id]
	if h == nil {
		return
	}
	s.unclaim(h.claim)
	s.setWorkers(h, nil)
	s.setModels(h, nil)
	s.found(h)
	h.up = false
	delete(s.hives, id)
	s.order = slices.DeleteFunc(s.order, func(x *hive) bool { return x == h })
	s.dispatchAll()
}

// DrainHive keeps new requests away from a hive, or with false lets them come
// again. Those that wait already may still use its workers.
func (s *Scheduler) DrainHive(id string, drained bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hiveOf(id)
	if drained && !h.drained {
		h.drainedAt, s.drainedAt = s.arrived, s.arrived
	}
	h.drained = drained
	s.unclaim(h.claim)
	for _, w := range h.workers {
		w.show()
	}
	s.dispatchAll()
}

// HiveDrained reports whether new requests are kept away from a hive.
func (s *Scheduler) HiveDrained(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hives[id]
	return h != nil && h.drained
}

// setModels makes list what the hive has on its disk.
func (s *Scheduler) setModels(h *hive, list []ops.Model) {
	now := make(map[string]ops.Model, len(list))
	h.newest = ops.Model{}
	for _, m := range list {
		now[m.ID] = m
		if m.Error == "" && m.Refused == "" && m.Source != ops.BuiltInSource && (h.newest.ID == "" || m.AddedAt.After(h.newest.AddedAt)) {
			h.newest = m
		}
	}
	for id, m := range h.models {
		if _, still := now[id]; m.Error == "" && (!still || now[id].Error != "") {
			l := s.lineOf(id)
			l.onDisk = slices.DeleteFunc(l.onDisk, func(x *hive) bool { return x == h })
			s.tidy(l)
		}
	}
	for id, m := range now {
		if old, had := h.models[id]; m.Error == "" && (!had || old.Error != "") {
			l := s.lineOf(id)
			at, _ := slices.BinarySearchFunc(l.onDisk, h, compareHives)
			l.onDisk = slices.Insert(l.onDisk, at, h)
		}
	}
	h.models = now
}

// setWorkers makes list the hive's workers.
func (s *Scheduler) setWorkers(h *hive, list []ops.Worker) {
	now := time.Now()
	there := make(map[string]bool, len(list))
	for _, i := range list {
		there[i.ID] = true
		w := s.put(h, i)
		w.other = max(0, i.Running-w.peak.note(w.given, now))
		w.show()
	}
	for id, w := range h.workers {
		if !there[id] {
			delete(h.workers, id)
			s.take(w)
		}
	}
}

// put takes a worker in, or over what is new of it.
func (s *Scheduler) put(h *hive, i ops.Worker) *worker {
	i.HiveID = h.id
	w := h.workers[i.ID]
	if w != nil && w.info.Model == i.Model {
		if w.info.State != ops.WorkerLoading {
			w.loading = time.Now()
		}
		if !able(&i) {
			w.doubted = time.Time{} // that is what it was
		}
		w.info, w.parts = i, s.hivesOf(i.Parts)
		return w
	}
	if w != nil {
		s.take(w)
	}
	w = &worker{info: i, hive: h, parts: s.hivesOf(i.Parts), line: s.lineOf(i.Model), loading: time.Now()}
	w.fresh = slices.ContainsFunc(w.line.starts, func(st *start) bool { return st.hive == h })
	h.workers[i.ID] = w
	w.site = w.line.site(h)
	w.line.workers = insert(w.line.workers, w)
	w.show()
	return w
}

// take takes a worker out of its line.
func (s *Scheduler) take(w *worker) {
	s.warmth.forget(w)
	l := w.line
	l.ungroup(w)
	w.count(false)
	l.workers = remove(l.workers, w)
	s.tidy(l)
}

// show has the line see the worker as it is now.
func (w *worker) show() {
	k := kind{
		slots: int32(max(w.info.Slots, 1)), taken: int32(w.taken()), //nolint:gosec // small numbers
		engine: w.info.Engine, device: w.info.Device,
	}
	switch {
	case w.info.State == ops.WorkerFailed:
		k.barred = Failed
	case w.info.PartOf != "":
		k.barred = Part
	case w.hive.drained:
		k.barred = Drained
	case w.info.State == ops.WorkerHung:
		k.barred = Hung
	case w.info.Broken():
		k.barred = Broken
	case w.info.State == ops.WorkerLoading || w.fresh || w.lacks() != nil:
		k.barred = Loading
	case w.isDoubted():
		k.barred = Doubted
	case w.leaving():
		k.barred = Yielding
	case w.isBlamed():
		k.barred = Failing
	}
	if w.since.IsZero() && k.barred != Loading {
		w.since = time.Now()
	}
	w.line.regroup(w, k)
	w.count(k.barred != Failed && k.barred != Part && !w.info.Broken())
}

// able reports whether a worker answers requests, as far as its hive has said.
func able(i *ops.Worker) bool { return i.State == ops.WorkerReady || i.State == ops.WorkerBusy }

// errBroken is why a request cannot have such a worker.
func (w *worker) errBroken() error {
	if w.info.State == ops.WorkerHung {
		return ops.Errorf(ops.CodeUnavailable, "worker %s of %s, which runs %s, does not answer", w.info.ID, w.hive.id, w.line.model).
			WithHint("%s", ops.HungHint(w.info.ID, w.hive.id))
	}
	return ops.Errorf(ops.CodeUnavailable, "worker %s of %s, which runs %s, cannot start its engine again: %s", w.info.ID, w.hive.id, w.line.model, w.info.Error).
		WithHint("`rbee worker get %s%s` names its log, `rbee worker delete %s%s` ends it", w.info.ID, ops.HiveFlag(w.hive.id), w.info.ID, ops.HiveFlag(w.hive.id))
}

// count has the worker be counted among those that run at its site, or not.
func (w *worker) count(runs bool) {
	switch {
	case runs && !w.runs:
		w.site.running++
	case !runs && w.runs:
		w.site.running--
	}
	w.runs = runs
}

// gone reports whether the worker is out of its line.
func (w *worker) gone() bool { return w.group == nil }
