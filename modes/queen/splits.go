package queen

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/relay"
)

// split names a worker whose model is divided.
type split struct{ hive, id string }

// String is its name as its parts know it.
func (s split) String() string { return s.hive + "/" + s.id }

// splits keeps divided models together, by what the books say: it holds a session
// with each worker that has parts, through which that reaches them, starts a part
// anew that is gone, and ends parts whose worker is. So a queen that starts finds
// and leads on what an earlier one has started.
type splits struct {
	poke chan struct{} // holds a token when the books have changed

	mu       sync.Mutex
	starting map[split]int      // those that a job of this queen's is starting
	held     map[split]*holding // those that have a session
	missing  map[string]time.Time
	tries    map[string]attempt // of starting a part anew
	sizes    map[string]uint64  // of parts, by [placeOf], in bytes; the keeping goroutine's alone
}

// holding is the goroutine that holds a session.
type holding struct {
	end  context.CancelFunc
	over chan struct{}
}

// attempt is when a part was last started anew, and how often.
type attempt struct {
	at    time.Time
	times int
}

const (
	// missingFor is how long a worker or part must be missing from what its hive
	// says before something is done about it.
	missingFor = 2 * time.Second
	// leaveAfter is how long a part stays whose worker's hive does not answer. That
	// one's connections are cut anyway, so that a part which is started anew when it
	// comes back costs little.
	leaveAfter = 5 * time.Minute
	// forgetAfter is how long something must have been well for earlier tries to
	// mend it not to count.
	forgetAfter = time.Minute
	// lookAgain is how often the splits look though nothing has changed.
	lookAgain = time.Second
)

func newSplits() *splits {
	return &splits{
		poke: make(chan struct{}, 1), starting: map[split]int{}, held: map[split]*holding{},
		missing: map[string]time.Time{}, tries: map[string]attempt{}, sizes: map[string]uint64{},
	}
}

// look has them look soon.
func (s *splits) look() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// begin notes that a job is starting a worker and its parts, until begun.
func (s *splits) begin(whole split) { s.count(whole, 1) }
func (s *splits) begun(whole split) { s.count(whole, -1) }

func (s *splits) count(whole split, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.starting[whole] += n; s.starting[whole] == 0 {
		delete(s.starting, whole)
	}
}

// isStarting reports whether a job is starting the worker.
func (s *splits) isStarting(whole split) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.starting[whole] > 0
}

// lacks notes whether something is missing, and reports whether it has been for
// so long.
func (s *splits) lacks(what string, missing bool, so time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !missing {
		delete(s.missing, what)
		if time.Since(s.tries[what].at) > forgetAfter {
			delete(s.tries, what)
		}
		return false
	}
	if s.missing[what].IsZero() {
		s.missing[what] = time.Now()
	}
	return time.Since(s.missing[what]) >= so
}

// due reports whether a part that is gone may be started anew now: half a minute
// apart at most, and less in the beginning.
func (s *splits) due(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tries[what]
	if time.Since(t.at) < min(time.Second<<min(t.times, 5), 30*time.Second) {
		return false
	}
	s.tries[what] = attempt{at: time.Now(), times: t.times + 1}
	return true
}

// keepSplits keeps divided models together until ctx ends.
func (q *Queen) keepSplits(ctx context.Context) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	var mending sync.WaitGroup
	defer mending.Wait()
	for {
		select {
		case <-ctx.Done():
			q.letGo(func(split) bool { return false })
			return
		case <-q.splits.poke:
		case <-tick.C:
		}
		q.holdSessions(ctx)
		q.noteSizes()
		q.mendParts(ctx, &mending)
	}
}

// holdSessions begins a session with each worker that has parts, and ends those
// of workers that are gone.
func (q *Queen) holdSessions(ctx context.Context) {
	wanted := map[split]bool{}
	for _, w := range q.books.workers() {
		whole := split{hive: w.HiveID, id: w.ID}
		if len(w.Parts) == 0 || w.State == ops.WorkerFailed {
			continue
		}
		wanted[whole] = true
		if q.splits.held[whole] == nil {
			inner, cancel := context.WithCancel(ctx)
			h := &holding{end: cancel, over: make(chan struct{})}
			q.splits.held[whole] = h
			go func() { // letGo waits for it
				defer close(h.over)
				q.holdSession(inner, whole, w.Parts)
			}()
		}
	}
	q.letGo(func(whole split) bool {
		_, up := q.books.snapshot(whole.hive)
		return wanted[whole] || !up && q.books.has(whole.hive)
	})
}

// letGo ends the sessions that are not to stay.
func (q *Queen) letGo(stays func(split) bool) {
	for whole, h := range q.splits.held {
		if !stays(whole) {
			h.end()
			<-h.over
			delete(q.splits.held, whole)
		}
	}
}

// holdSession holds a session with a worker for as long as ctx lasts.
func (q *Queen) holdSession(ctx context.Context, whole split, hives []string) {
	retry := newRetry()
	for ctx.Err() == nil {
		began := time.Now()
		err := q.lead(ctx, whole, hives)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Second {
			retry.Reset()
		}
		q.Log.Debug().Err(err).Stringer("worker", whole).Msg("no session with a worker that has parts")
		pause(ctx, retry.NextBackOff())
	}
}

// lead holds one session and leads its streams to the parts.
func (q *Queen) lead(ctx context.Context, whole split, hives []string) error {
	conn, err := q.upgrade(ctx, whole, relay.SessionPath)
	if err != nil {
		return err
	}
	q.Log.Info().Stringer("worker", whole).Strs("hives", hives).Msg("leading a worker to its parts")
	return relay.Serve(ctx, conn, func(ctx context.Context, part int) (relay.Conn, error) {
		if part >= len(hives) {
			return nil, ops.Errorf(ops.CodeInvalid, "there is no part %d", part)
		}
		return q.dialPart(ctx, whole, hives[part])
	})
}

// upgrade upgrades a connection with a worker.
func (q *Queen) upgrade(ctx context.Context, w split, path string) (relay.Conn, error) {
	bounded, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	conn, err := fleet{q}.Dial(bounded, w.hive, w.id)
	if err != nil {
		return nil, err
	}
	return relay.Upgrade(bounded, conn, path)
}

// dialPart connects with the part of a worker's model that a hive holds.
func (q *Queen) dialPart(ctx context.Context, whole split, hive string) (relay.Conn, error) {
	if h, ok := q.books.get(hive); !ok || h.State != ops.HiveUp {
		return nil, ops.Errorf(ops.CodeUnavailable, "the hive %s is down: %s", hive, orElse(h.Error, "it does not run"))
	}
	for _, p := range q.partsOf(whole) {
		if p.HiveID == hive && p.State != ops.WorkerFailed {
			return q.upgrade(ctx, split{hive: hive, id: p.ID}, relay.PartPath)
		}
	}
	return nil, ops.Errorf(ops.CodeUnavailable, "no worker on hive %s holds it", hive)
}

func orElse(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

// partsOf lists the workers that hold parts of a worker's model.
func (q *Queen) partsOf(whole split) (list []ops.Worker) {
	for _, w := range q.books.workers() {
		if w.PartOf == whole.String() {
			list = append(list, w)
		}
	}
	return list
}

// worker is what the books say of a worker that has not failed.
func (q *Queen) worker(s split) (ops.Worker, bool) {
	for _, w := range q.books.workers() {
		if w.HiveID == s.hive && w.ID == s.id && w.State != ops.WorkerFailed {
			return w, true
		}
	}
	return ops.Worker{}, false
}

// placeOf names the part of a worker's model that a hive holds.
func placeOf(whole split, hive string) string { return whole.String() + " " + hive }

// noteSizes remembers how much each part is to hold, for when it is started anew,
// and forgets those of workers that are gone.
func (q *Queen) noteSizes() {
	for place := range q.splits.sizes {
		worker, _, _ := strings.Cut(place, " ")
		hive, id := ops.SplitPartOf(worker)
		_, lives := q.worker(split{hive: hive, id: id})
		if _, up := q.books.snapshot(hive); !lives && (up || !q.books.has(hive)) {
			delete(q.splits.sizes, place)
		}
	}
	for _, p := range q.books.workers() {
		if hive, id := ops.SplitPartOf(p.PartOf); p.PartBytes > 0 {
			q.splits.sizes[placeOf(split{hive: hive, id: id}, p.HiveID)] = p.PartBytes
		}
	}
}

// partAnew starts a part in place of one that is gone: its hive makes room for it
// as it did the first time, where the queen has seen that.
func (q *Queen) partAnew(whole split, hive string) ops.WorkerSpawn {
	return ops.WorkerSpawn{
		OnHive: ops.OnHive{HiveID: hive}, Engine: ops.EngineRPC,
		Split: ops.Split{PartOf: whole.String(), PartBytes: q.splits.sizes[placeOf(whole, hive)]},
	}
}

// mendParts ends parts whose worker is gone and starts parts anew that are.
func (q *Queen) mendParts(ctx context.Context, mending *sync.WaitGroup) {
	for _, w := range q.books.workers() {
		switch {
		case w.State == ops.WorkerFailed && w.PartOf == "":
		case w.PartOf != "":
			q.endOrphan(ctx, w, mending)
		case len(w.Parts) > 0:
			q.replaceParts(ctx, w, mending)
		}
	}
}

// endOrphan ends a part whose worker is gone from a hive that is up, or with its
// hive: one that was removed or stopped. A hive that is merely not reached may
// have the worker still, and gets [leaveAfter] to say so.
func (q *Queen) endOrphan(ctx context.Context, p ops.Worker, mending *sync.WaitGroup) {
	hive, id := ops.SplitPartOf(p.PartOf)
	whole := split{hive: hive, id: id}
	_, lives := q.worker(whole)
	_, up := q.books.snapshot(hive)
	alone := !lives && !q.splits.isStarting(whole)
	gone := up || !q.books.has(hive) || q.isStopped(hive)
	what := fmt.Sprintf("end %s/%s", p.HiveID, p.ID)
	orphan := q.splits.lacks(what, alone && gone, missingFor)
	left := q.splits.lacks(what+" of a hive that is away", alone && !gone, leaveAfter)
	if !orphan && !left || !q.splits.due(what) {
		return
	}
	q.Log.Info().Str("hive", p.HiveID).Str("worker", p.ID).Stringer("part_of", whole).Msg("ending a part of a model whose worker is gone")
	mending.Go(func() { q.endPart(ctx, whole, p.HiveID, p.ID) })
}

// isStopped reports whether somebody has stopped a hive, which ends its workers.
func (q *Queen) isStopped(hive string) bool {
	if r := q.hives.remote(hive); r != nil {
		return r.now().Stopped
	}
	return hive == ops.LocalHive && q.local.isStopped()
}

// replaceParts starts a part anew on each hive that is up and has none.
func (q *Queen) replaceParts(ctx context.Context, w ops.Worker, mending *sync.WaitGroup) {
	whole := split{hive: w.HiveID, id: w.ID}
	has := map[string]bool{}
	for _, p := range q.partsOf(whole) {
		has[p.HiveID] = has[p.HiveID] || p.State != ops.WorkerFailed
	}
	for _, hive := range w.Parts {
		_, up := q.books.snapshot(hive)
		what := fmt.Sprintf("start a part of %s on %s", whole, hive)
		if !q.splits.lacks(what, up && !has[hive] && !q.splits.isStarting(whole), missingFor) || !q.splits.due(what) {
			continue
		}
		q.Log.Warn().Str("hive", hive).Stringer("part_of", whole).Msg("a part is gone: starting it anew")
		part := q.partAnew(whole, hive)
		mending.Go(func() {
			if err := q.spawnPart(ctx, part, "", true); err != nil {
				q.Log.Warn().Err(err).Str("hive", hive).Stringer("part_of", whole).Msg("a part cannot be started anew")
			}
		})
	}
}
