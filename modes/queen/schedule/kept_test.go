package schedule

import (
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
)

// TestAWorkerComesBackAsAPersonHasStartedIt where it was, once it is gone.
func TestAWorkerComesBackAsAPersonHasStartedIt(t *testing.T) {
	long := ops.WorkerSpawn{Context: 8192, Engine: "llamacpp", Device: "cuda:1"}
	for name, tt := range map[string]struct {
		set  func(*depot)
		r    Request
		hive string // where one is started
		as   bool   // as it was
	}{
		"on a hive that would else be no better": {hive: "b", as: true},
		"not once a person has ended it":         {set: func(d *depot) { d.Unkeep("b", "bee") }, hive: "a"},
		"not while it runs": {
			set:  func(d *depot) { d.run("b", "w", "bee", 4) },
			r:    Request{Without: map[Key]bool{{"b", "w"}: true}},
			hive: "a",
		},
		"in place of one that has failed": {
			set: func(d *depot) {
				d.place(ops.Worker{ID: "w", HiveID: "b", Model: "bee", State: ops.WorkerFailed, Slots: 4})
			},
			hive: "b", as: true,
		},
		"not for who asks for another engine":     {r: Request{Engine: "builtin"}, hive: "a"},
		"not for who asks for another device":     {r: Request{Device: "cpu"}, hive: "a"},
		"not where another hive is asked for":     {r: Request{Hive: "a"}, hive: "a"},
		"not on a hive that is drained":           {set: func(d *depot) { d.DrainHive("b", true) }, hive: "a"},
		"not of another model":                    {r: Request{Model: "ant"}, hive: "a"},
		"though the hive seems too small for it":  {set: func(d *depot) { d.add("b", 1<<20, bee, ant) }, hive: "b", as: true},
		"not on a hive that was forgotten though": {set: func(d *depot) { d.Forget("b"); d.add("b", 8<<30, bee, ant) }, hive: "a"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDepot(t, Options{})
				defer d.Close()
				d.add("a", 8<<30, bee, ant)
				d.add("b", 8<<30, bee, ant)
				d.Keep("b", "bee", Kept{Worker: "w", Spawn: long})
				if tt.set != nil {
					tt.set(d)
				}
				if tt.r.Model == "" {
					tt.r.Model = "bee"
				}
				a := d.ask(tt.r)
				<-a.done
				if a.lease != nil {
					a.lease.Release()
				}
				if len(d.plans) == 0 {
					t.Fatalf("none is started: %v", a.err)
				}
				p := d.plans[0]
				if p.Hive != tt.hive || (p.As != nil) != tt.as {
					t.Errorf("by the plan %+v one is started", p)
				}
				if p.As != nil && (p.As.Context != 8192 || p.Engine != "llamacpp" || p.Device != "cuda:1") {
					t.Errorf("it comes back as %+v, by %+v", p.As, p)
				}
			})
		})
	}
}

// TestWhoSpawnsAWorkerSaysHow, though one there would come back as it was.
func TestWhoSpawnsAWorkerSaysHow(t *testing.T) {
	d := newDepot(t, Options{})
	defer d.Close()
	d.add("a", 16<<30, bee)
	d.add("b", 8<<30, bee)
	d.Keep("b", "bee", Kept{Worker: "w", Spawn: ops.WorkerSpawn{Parallel: 1}})
	if p, err := d.Settle(t.Context(), Request{Model: "bee"}); err != nil || p.Hive != "a" || p.As != nil {
		t.Errorf("it is to be %+v, %v", p, err)
	}
}

// TestNoUsualWorkerTakesThePlaceOfOneThatAPersonHasStarted, where that breaks off: it is
// waited for until its hive has said how it is.
func TestNoUsualWorkerTakesThePlaceOfOneThatAPersonHasStarted(t *testing.T) {
	state := func(s ops.WorkerState) func(*depot) {
		return func(d *depot) { d.change("b", func(h *ops.HiveSnapshot) { h.Workers[0].State = s }) }
	}
	again := Key{"b", "w"}
	for name, tt := range map[string]struct {
		then  []func(*depot) // once it waits
		after time.Duration  // it waits no more, by itself
		gets  Key
		as    bool // by a start as it was
	}{
		"its engine is started again": {then: []func(*depot){state(ops.WorkerLoading), state(ops.WorkerReady)}, gets: again},
		"it has ended":                {then: []func(*depot){state(ops.WorkerFailed)}, gets: Key{"b", "s1"}, as: true},
		"it was unloaded":             {then: []func(*depot){func(d *depot) { d.change("b", func(h *ops.HiveSnapshot) { h.Workers = nil }) }}, gets: Key{"b", "s1"}, as: true},
		"nothing has happened to it":  {after: doubtFor, gets: again},
		"what was said before counts": {then: []func(*depot){state(ops.WorkerReady)}, after: doubtFor, gets: again},
		"it hangs":                    {then: []func(*depot){state(ops.WorkerHung)}, gets: Key{"b", "s1"}, as: true},
		"its engine cannot be started again": {then: []func(*depot){func(d *depot) {
			d.change("b", func(h *ops.HiveSnapshot) { h.Workers[0].State, h.Workers[0].FailedStarts = ops.WorkerLoading, 2 })
		}}, gets: Key{"b", "s1"}},
		"its hive is away for a moment": {then: []func(*depot){func(d *depot) { d.Lost("b") }, state(ops.WorkerReady)}, gets: again},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDepot(t, Options{})
				defer d.Close()
				d.add("b", 64<<30, bee)
				d.run("b", "w", "bee", 4)
				d.Keep("b", "bee", Kept{Worker: "w", Spawn: ops.WorkerSpawn{Parallel: 1}})
				d.get(Request{Model: "bee"}).Release()
				if !d.Doubt(&Request{}, again) {
					t.Fatal("it is not one that a person has started")
				}
				came := time.Now()
				a := d.ask(Request{Model: "bee", Again: true, Came: came})
				for _, f := range tt.then {
					if a.has() {
						t.Fatalf("it did not wait, and got %v", a.lease.Key())
					}
					f(d)
				}
				<-a.done
				if a.err != nil || a.lease.Key() != tt.gets || time.Since(came) != tt.after {
					t.Fatalf("after %v it got %+v, %v", time.Since(came), a.lease, a.err)
				}
				if started := len(d.plans) > 0; started != (tt.gets != again) || started && (d.plans[0].As != nil) != tt.as {
					t.Errorf("by the plans %+v", d.plans)
				}
				a.lease.Release()
			})
		})
	}
}

// TestBesideAWorkerThatAPersonHasStartedNoUsualOneIsStarted, though it has failed a
// request, again; one as usual is passed over for another.
func TestBesideAWorkerThatAPersonHasStartedNoUsualOneIsStarted(t *testing.T) {
	d := newDepot(t, Options{})
	defer d.Close()
	d.add("b", 64<<30, bee)
	d.place(ops.Worker{ID: "w", HiveID: "b", Model: "bee", State: ops.WorkerReady, Slots: 4, Engine: "command", Device: "auto"})
	r := Request{Model: "bee", Again: true, Without: map[Key]bool{{"b", "w"}: true}}
	d.Keep("b", "bee", Kept{Worker: "w", Spawn: ops.WorkerSpawn{Engine: "command", Parallel: 1}})
	if lease, err := d.Acquire(t.Context(), r); err == nil || len(d.started()) > 0 {
		t.Errorf("it got %+v, %v", lease, err)
	}
	r.Engine = "builtin" // which it does not stand for
	d.get(r).Release()
	d.Unkeep("b", "bee")
	if d.Doubt(&Request{}, Key{"b", "w"}) {
		t.Error("it counts as one that a person has started after its end")
	}
}
