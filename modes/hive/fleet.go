package hive

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/inference/fit"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
)

// keepFailed is how many workers that failed stay in the list.
const keepFailed = 5

// fleet is the hive's workers: those that run, and the newest that failed. It
// says which of them gets a job, so that two who ask at the same time for the
// same do not both start a worker.
type fleet struct {
	home    home.Home
	hive    string // its name
	binary  string // what workers are started from
	log     zerolog.Logger
	changed func() // is called at each change; it must not wait
	turned  func() // is called when a worker begins or ceases to load; likewise

	life    context.Context //nolint:containedctx // of the goroutines that own the workers
	leave   context.CancelFunc
	owners  sync.WaitGroup
	mu      sync.Mutex
	members map[string]*member
}

func newFleet(h home.Home, hive, binary string, log zerolog.Logger, changed func()) *fleet {
	f := &fleet{home: h, hive: hive, binary: binary, log: log, changed: changed, turned: changed, members: map[string]*member{}}
	f.life, f.leave = context.WithCancel(context.Background())
	return f
}

// Close lets the workers go: they run on, for the hive's successor.
func (f *fleet) Close() {
	f.leave()
	f.owners.Wait()
}

// want is what a worker must be for a request.
type want struct {
	model             ops.Model
	engine, device    string
	program           string // that the engine runs, or ""
	called            string // what that calls the device, where it is another name
	anyEngine         bool   // a worker that runs already may have another engine
	anyDevice         bool   // or be on another device
	parallel, context int
	threads           int   // that compute; 0 leaves it to the engine
	prompts           int64 // bytes that it may fill with prompts it has seen; 0 leaves it to the engine, below 0 is none
	flags             []string
	command           string
	parts             []string // further hives that the model is divided over
	share             float64  // of the weights that stay on this machine's CPU then
	stays             float64  // of the weights that stay on this machine, or 0 for all
	partOf            string   // the worker of whose model it holds a part
	partBytes         uint64   // that it is to hold, or 0

	wouldFit bool       // it is only asked whether there would be room
	shape    *fit.Model // of a model that is not here yet, or nil
}

// name is what a person calls it.
func (w want) name() string {
	if w.partOf != "" {
		return "a part of " + w.partOf
	}
	return w.model.ID
}

// fits reports whether a worker is what is wanted.
func (w want) fits(i ops.Worker) bool {
	return i.Model == w.model.ID && (w.anyEngine || i.Engine == w.engine) && (w.anyDevice || i.Device == w.device)
}

// pick returns the worker for a job: one that is there, or else a new one called
// id. The job is counted as given to it.
func (f *fleet) pick(w want, id string) (m *member, started bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m = f.best(w)
	if m == nil {
		m, started = f.start(w, id)
	}
	m.give()
	return m, started
}

// reuse is pick that starts none: it returns nil instead.
func (f *fleet) reuse(w want) *member {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.best(w)
	if m != nil {
		m.give()
	}
	return m
}

// has reports whether pick would find a worker and start none.
func (f *fleet) has(w want) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.best(w) != nil
}

// best is, of the workers that fit, the one with the fewest jobs; one that still
// loads only where none is ready. The caller holds the lock.
func (f *fleet) best(w want) *member {
	var best *member
	least := 0
	for _, m := range f.members {
		if load, ok := m.load(w); ok && (best == nil || load < least) {
			best, least = m, load
		}
	}
	return best
}

// load is how many jobs the worker has, if it is one for w. To load a model
// counts as more jobs than any.
func (m *member) load(w want) (int, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked || m.parting || m.info.State == ops.WorkerFailed || m.info.Broken() || !w.fits(m.info) {
		return 0, false
	}
	jobs := max(m.given, m.info.Running)
	if m.info.State == ops.WorkerLoading {
		jobs += 1 << 30
	}
	return jobs, true
}

// lives reports whether there is a worker called id that has not ended.
func (f *fleet) lives(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.members[id]
	return m != nil && !m.dead()
}

// spawn returns the worker called id, after starting it where there is none.
func (f *fleet) spawn(w want, id string) (m *member, started bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.start(w, id)
}

// start is spawn for those who hold the lock.
func (f *fleet) start(w want, id string) (m *member, started bool) {
	if m := f.members[id]; m != nil {
		if !m.dead() {
			return m, false
		}
		f.forget(m)
	}
	f.dropFailed(w.model.ID)
	m = newMember(id, f.home.Worker(id), f.hive, w)
	f.members[id] = m
	f.owners.Go(func() { f.own(m) })
	return m, true
}

// own starts the worker's process, unless it runs already, and watches it to
// its end or the hive's.
func (f *fleet) own(m *member) {
	defer m.client.Close()
	log := f.log.With().Str("worker", m.id).Logger()
	var failure error
	if m.process.PID == 0 {
		failure = m.start(f.binary)
	}
	close(m.begun)
	f.changed()
	if failure == nil {
		i := m.tell()
		log.Info().Int("pid", i.PID).Str("model", i.Model).Msg("watching a worker")
		m.watch(f.life, f.changed, f.turned)
		if f.life.Err() != nil {
			return
		}
	}
	if asked := m.finish(failure); asked {
		log.Info().Msg("a worker was stopped")
	} else {
		log.Error().Err(m.why).Msg("a worker failed")
	}
	f.changed()
}

// find returns the worker, or a not_found error with the nearest id.
func (f *fleet) find(id string) (*member, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m, ok := f.members[id]; ok {
		return m, nil
	}
	ids := make([]string, 0, len(f.members))
	for known := range f.members {
		ids = append(ids, known)
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no worker %q on hive %s", id, f.hive)
	if near := ops.Nearest(id, ids); near != "" {
		return nil, e.WithHint("did you mean %q? `rbee worker list` shows the workers there are", near)
	}
	return nil, e.WithHint("`rbee worker list` shows the workers there are")
}

// list tells of all workers, oldest first.
func (f *fleet) list() []ops.Worker {
	list := []ops.Worker{}
	for _, m := range f.all() {
		list = append(list, m.tell())
	}
	slices.SortFunc(list, func(a, b ops.Worker) int {
		if c := a.StartedAt.Compare(b.StartedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

func (f *fleet) all() []*member {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]*member, 0, len(f.members))
	for _, m := range f.members {
		list = append(list, m)
	}
	return list
}

// removeWithin bounds a worker's end: one that does not leave is killed sooner.
const removeWithin = 15 * time.Second

// remove ends a worker, if it has not ended, and forgets it. It does so to the end
// also when ctx has ended: half-way it would be a worker that nobody wanted to fail.
func (f *fleet) remove(ctx context.Context, m *member) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeWithin)
	defer cancel()
	if err := m.end(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.members[m.id] == m {
		f.forget(m)
	}
	f.changed()
	return nil
}

// removeAll is remove for all workers at the same time.
func (f *fleet) removeAll(ctx context.Context) error {
	members := f.all()
	results := make(chan error, len(members))
	for _, m := range members {
		go func() { results <- f.remove(ctx, m) }() // received below
	}
	var errs []error
	for range members {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

// forget drops a worker whose process is gone, with its folder; of one that failed
// the log stays, since errors have told of it. The caller holds the lock.
func (f *fleet) forget(m *member) {
	delete(f.members, m.id)
	remove := unmake
	if m.hasFailed() {
		remove = bury
	}
	if err := remove(m.folder); err != nil {
		f.log.Warn().Err(err).Str("worker", m.id).Msg("a worker's folder stays")
	}
}

// dropFailed takes failed workers of a model that gets a new one off the list, and
// the oldest of the others; their logs stay for a while. The caller holds the lock.
func (f *fleet) dropFailed(model string) {
	var failed []*member
	for _, m := range f.members {
		switch {
		case !m.dead():
		case m.tell().Model == model:
			f.forget(m)
		default:
			failed = append(failed, m)
		}
	}
	slices.SortFunc(failed, func(a, b *member) int { return a.tell().StartedAt.Compare(b.tell().StartedAt) })
	for i := range max(0, len(failed)-keepFailed) {
		f.forget(failed[i])
	}
	f.clearGraves()
}
