package schedule

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

// DefaultDepth is how many requests may wait for one model.
const DefaultDepth = 4096

// Fleet is what a scheduler has done. Its methods may wait.
type Fleet interface {
	// Wake sees that the hive of the queen's own machine runs, and returns when
	// the scheduler was told what it says.
	Wake(ctx context.Context)
	// Start starts a worker and returns when it is ready. What happens meanwhile
	// is said to the job of ctx.
	Start(ctx context.Context, p Plan) (ops.Worker, error)
}

// Plan is a worker that is to be started.
type Plan struct {
	Hive, Model, Engine, Device string
	// From is a hive that has the model, where Hive has to get it; "" where it
	// need not, or where only Source has it.
	From string
	// Get says that Hive has to get the model first.
	Get bool
	// Source is where the model came from, as [ops.Model] has it.
	Source string
	// As is how a person had started the worker that comes back, or nil.
	As *ops.WorkerSpawn
}

// Options are what a scheduler works with.
type Options struct {
	Fleet  Fleet
	Policy Policy // nil is the default one
	Depth  int    // requests that may wait for one model; 0 means [DefaultDepth]
	// Aliases returns the other names of models, for errors; nil says that there are
	// none.
	Aliases func() map[string]string
	// Brings says that a request brings a model that it names by where it comes from.
	Brings bool
}

// Scheduler lends workers to requests.
type Scheduler struct {
	Options
	life context.Context //nolint:containedctx // of the starts, which outlive requests
	end  context.CancelFunc
	work sync.WaitGroup // starts

	mu        sync.Mutex
	hives     map[string]*hive
	order     []*hive // of hives: the queen's own machine first, then by name
	numbered  int32   // hives that there have been
	lines     map[string]*line
	waiting   map[*line]bool // those with requests that wait
	warmth    warmth
	past      ledger
	downloads map[string]*Download // that are under way, by what is asked for
	drained   bool
	held      bool   // nobody is served, see [Scheduler.Hold]
	arrived   uint64 // requests that have waited
	drainedAt uint64 // of them, when a hive was drained last

	candidates []Candidate // of the newest view, to be used again
	placed     []Place     // likewise
}

// New makes a scheduler; the caller closes it.
func New(o Options) *Scheduler {
	if o.Policy == nil {
		o.Policy = policies[DefaultPolicy]
	}
	if o.Depth == 0 {
		o.Depth = DefaultDepth
	}
	s := &Scheduler{Options: o, hives: map[string]*hive{}, lines: map[string]*line{}, waiting: map[*line]bool{}}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Close ends the starts that are under way, and waits for them. Requests end
// with their contexts.
func (s *Scheduler) Close() {
	s.end()
	s.work.Wait()
}

// line is one model: its workers, and the requests that wait for them.
type line struct {
	model   string
	workers []*worker        // in the order of [View]
	groups  []*group         // of workers
	sites   []*site          // by the number of the hive; nil where it has had nothing
	onDisk  []*hive          // that have it and can use it, in the same order as workers
	queue   []*waiter        // in the order of their turns
	bounded int              // of them, those that are not tried again
	waits   map[string]*int  // the same by client
	starts  []*start         // under way
	claim   *claim           // nil where no room is being made for it
	oldest  time.Time        // when the one came that has waited for longest, as of nudged or later
	nudged  time.Time        // see [Scheduler.nudge]
	dealt   [2]turns         // interactive ones, and batch
	absent  map[*hive]absent // workers of the model, divided, whose hives do not answer
	pace    pace
	lacking []*worker // that lacked a route lately, see [Scheduler.Answered]
	forgive time.Time // when the first of the workers that are blamed is not any more; zero where none is
}

// lineOf is the line of the model, made if need be.
func (s *Scheduler) lineOf(model string) *line {
	l := s.lines[model]
	if l == nil {
		l = &line{model: model}
		s.lines[model] = l
	}
	return l
}

// known reports whether there is anything to the model.
func (l *line) known() bool { return l != nil && len(l.workers)+len(l.onDisk)+len(l.starts) > 0 }

// there reports whether a hive has the model, or a worker has it loaded: of one that was
// deleted, workers that failed may be left.
func (l *line) there() bool {
	alive := func(w *worker) bool { return w.info.State != ops.WorkerFailed }
	return l.known() && (len(l.onDisk)+len(l.starts) > 0 || slices.ContainsFunc(l.workers, alive))
}

// isOn reports whether the hive with that name has the model, or has it loaded.
func (l *line) isOn(id string) bool {
	return slices.ContainsFunc(l.onDisk, func(h *hive) bool { return h.id == id }) ||
		slices.ContainsFunc(l.workers, func(w *worker) bool { return w.hive.id == id && w.info.State != ops.WorkerFailed })
}

// tidy forgets the line of a model that is gone.
func (s *Scheduler) tidy(l *line) {
	if !l.known() && len(l.queue) == 0 && s.lines[l.model] == l {
		delete(s.lines, l.model)
	}
}

// Waiting is how many requests wait, by model.
func (s *Scheduler) Waiting() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := map[string]int{}
	for l := range s.waiting {
		n[l.model] = len(l.queue)
	}
	return n
}

// Drain keeps new requests away, or with false lets them come again. Those that
// run, and those that wait already, are answered.
func (s *Scheduler) Drain(drained bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drained = drained
}

// IsDrained reports whether new requests are kept away.
func (s *Scheduler) IsDrained() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drained
}

// names are the models that some hive has, sorted.
func (s *Scheduler) names() []string {
	var list []string
	for name, l := range s.lines {
		if l.there() {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// answers reports whether requests for what an alias means are answered: the model was
// not deleted, or is brought.
func (s *Scheduler) answers(means string) bool {
	if !ops.IsModelReference(means) {
		return s.lines[means].there()
	}
	return s.Brings || slices.ContainsFunc(s.order, func(h *hive) bool {
		for _, m := range h.models {
			if m.Error == "" && m.ComesFrom(means) {
				return true
			}
		}
		return false
	})
}

// Missing is the error of a model that no hive has, as [Scheduler.Acquire] tells it; nil
// where one has it or loads it.
func (s *Scheduler) Missing(model string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines[model].there() {
		return nil
	}
	return s.unknown(model)
}

// unknown is the error of a model that no hive has.
func (s *Scheduler) unknown(model string) error {
	for _, h := range s.order {
		m, ok := h.models[model]
		if !ok {
			m = h.models[model+".gguf"] // a file that lies loose in the models' folder
		}
		if m.Error != "" {
			e := ops.Errorf(ops.CodeNotFound, "the model %s on %s cannot be used: %s", m.ID, h.id, m.Error)
			e.Field = "model"
			return e.WithHint("%s", cmp.Or(m.Hint, "`rbee model delete "+m.ID+" --hive "+h.id+"` removes it")) // of a hive of an older build
		}
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no model %q on any hive", model)
	e.Field = "model"
	if model == testdata.TinybeeName {
		return e.WithHint("it is built in, and was deleted: it comes back when the hive starts next, as by `rbee hive stop` and then `rbee hive start`")
	}
	names := s.names()
	if s.Aliases != nil {
		for alias, means := range s.Aliases() {
			if s.answers(means) {
				names = append(names, alias)
			}
		}
		slices.Sort(names)
	}
	if ref := ops.NearHub(model); ref != "" {
		return e.WithHint("a repository on Hugging Face is given as %s: `rbee model download` brings it", ref)
	}
	return e.WithHint("%s", ops.ModelHint(model, names))
}
