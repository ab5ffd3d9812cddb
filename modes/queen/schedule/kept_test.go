package schedule

import (
	"testing"
	"testing/synctest"

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
