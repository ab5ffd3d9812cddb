package schedule

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
)

// depot is a fleet that the scheduler is told of, and that starts what it is
// asked to.
type depot struct {
	t *testing.T
	*Scheduler

	mu      sync.Mutex
	hives   map[string]*ops.HiveSnapshot
	plans   []Plan
	loads   time.Duration // how long a worker takes to start
	broken  map[string]error
	making  func(Plan) // is called before a worker comes up
	woken   int
	unloads string // what a start says of making room, or ""
}

func newDepot(t *testing.T, o Options) *depot {
	t.Helper()
	d := &depot{t: t, hives: map[string]*ops.HiveSnapshot{}, broken: map[string]error{}}
	o.Fleet = d
	d.Scheduler = New(o)
	d.add(ops.LocalHive, 0)
	d.DrainHive(ops.LocalHive, true) // until a test wants it
	return d
}

// add adds a hive with so much memory and these models.
func (d *depot) add(id string, memory uint64, models ...ops.Model) {
	d.mu.Lock()
	d.hives[id] = &ops.HiveSnapshot{Models: models, Hive: ops.Hive{Devices: []ops.Device{{Kind: "cpu", MemoryBytes: memory}}}}
	d.mu.Unlock()
	d.tell(id)
}

// run adds a worker that is ready.
func (d *depot) run(hive, id, model string, slots int) {
	d.place(ops.Worker{ID: id, HiveID: hive, Model: model, State: ops.WorkerReady, Slots: slots, Engine: "builtin", Device: "cpu"})
}

func (d *depot) place(i ops.Worker) {
	d.mu.Lock()
	d.hives[i.HiveID].Workers = append(d.hives[i.HiveID].Workers, i)
	d.mu.Unlock()
	d.tell(i.HiveID)
}

// change changes a hive and tells it.
func (d *depot) change(hive string, f func(*ops.HiveSnapshot)) {
	d.mu.Lock()
	f(d.hives[hive])
	d.mu.Unlock()
	d.tell(hive)
}

func (d *depot) tell(hive string) {
	d.mu.Lock()
	s := *d.hives[hive]
	s.Workers = append([]ops.Worker(nil), s.Workers...)
	d.mu.Unlock()
	d.Heard(hive, s)
}

// Wake counts: the hive runs, but where a test has lost it.
func (d *depot) Wake(context.Context) { d.woken++ }

// Start starts a worker.
func (d *depot) Start(ctx context.Context, p Plan) (ops.Worker, error) {
	d.mu.Lock()
	d.plans = append(d.plans, p)
	n, loads, err := len(d.plans), d.loads, d.broken[p.Hive]
	d.mu.Unlock()
	ops.Narrate(ops.As(ctx, "hive"), "worker_start", "loading %s", p.Model)
	if d.unloads != "" {
		ops.Narrate(ops.As(ctx, "hive"), "worker_unload", "%s", d.unloads)
	}
	select {
	case <-time.After(loads):
	case <-ctx.Done():
		return ops.Worker{}, context.Cause(ctx)
	}
	if err != nil {
		return ops.Worker{}, err
	}
	if d.making != nil {
		d.making(p)
	}
	i := ops.Worker{
		ID: fmt.Sprintf("s%d", n), HiveID: p.Hive, Model: p.Model, State: ops.WorkerReady, Slots: 4,
		Engine: cmp.Or(p.Engine, "builtin"), Device: "cpu",
	}
	d.place(i)
	return i, nil
}

// started lists the hives where workers were started, in their order.
func (d *depot) started() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []string
	for _, p := range d.plans {
		list = append(list, p.Hive)
	}
	return list
}

// get acquires at once what must be there.
func (d *depot) get(r Request) *Lease {
	d.t.Helper()
	lease, err := d.Acquire(d.t.Context(), r)
	if err != nil {
		d.t.Fatalf("%+v gets no worker: %v", r, err)
	}
	return lease
}

// asked is a request in the background.
type asked struct {
	lease *Lease
	err   error
	done  chan struct{}
	leave context.CancelFunc
	said  said
}

// ask acquires in the background, and returns once the request waits or is done.
func (d *depot) ask(r Request) *asked {
	a := &asked{done: make(chan struct{})}
	ctx, leave := context.WithCancel(ops.WithSink(d.t.Context(), &a.said))
	a.leave = leave
	go func() {
		defer close(a.done)
		a.lease, a.err = d.Acquire(ctx, r)
	}()
	synctest.Wait()
	return a
}

// has reports whether the request has a worker by now.
func (a *asked) has() bool {
	synctest.Wait()
	select {
	case <-a.done:
		return a.lease != nil
	default:
		return false
	}
}

// said is a sink that keeps what it is told.
type said struct {
	mu   sync.Mutex
	list []string
}

func (s *said) Emit(e ops.Event) {
	if n, ok := e.(ops.NarrationEvent); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.list = append(s.list, n.Actor+": "+n.Human)
	}
}
func (s *said) Mark(ops.Event, ops.Cursor) {}
func (s *said) Cursor() ops.Cursor         { return ops.Cursor{} }
func (s *said) JobID() string              { return "" }

func (s *said) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.list...)
}
