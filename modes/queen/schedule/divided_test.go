package schedule

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
)

// newDividedDepot has bee divided over a and b, and c, which could run it whole.
func newDividedDepot(t *testing.T) *depot {
	d := newDepot(t, Options{})
	for _, id := range []string{"a", "b", "c"} {
		d.add(id, 8<<30, bee)
	}
	d.place(ops.Worker{ID: "w", HiveID: "a", Model: "bee", State: ops.WorkerReady, Slots: 4, Engine: "llamacpp", Device: "cpu", Parts: []string{"b"}})
	d.place(ops.Worker{ID: "p", HiveID: "b", Model: "bee", State: ops.WorkerReady, Slots: 1, Engine: "rpc", PartOf: "a/w"})
	return d
}

// load has the divided worker load again, or be back.
func (d *depot) load(why string) {
	d.change("a", func(s *ops.HiveSnapshot) {
		s.Workers[0].State, s.Workers[0].Error = ops.WorkerReady, why
		if why != "" {
			s.Workers[0].State = ops.WorkerLoading
		}
	})
}

func TestNoOtherWorkerIsStartedWhileADividedModelComesBack(t *testing.T) {
	for name, tt := range map[string]struct {
		away, back func(*depot)
		says       string
	}{
		"it loads again": {
			func(d *depot) { d.load("the part of the model on hive b was lost") }, func(d *depot) { d.load("") },
			"worker w of a loads bee, which is divided: the part of the model on hive b was lost",
		},
		"its hive does not answer": {
			func(d *depot) { d.Lost("a") }, func(d *depot) { d.tell("a") },
			"the hive a, which has bee divided with others, does not answer at the moment",
		},
		"its hive has not been heard of since the queen's restart": {
			func(d *depot) {
				d.mu.Lock()
				last := *d.hives["a"]
				d.mu.Unlock()
				d.Forget("a")
				d.Remember("a", last)
			}, func(d *depot) { d.tell("a") },
			"the hive a, which has bee divided with others, does not answer at the moment",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDividedDepot(t)
				defer d.Close()
				tt.away(d)
				var all []*asked
				for range 2 * usualSlots { // more than one worker does at once
					all = append(all, d.ask(Request{Model: "bee", Job: "job"}))
				}
				time.Sleep(stuckAfter - time.Second)
				synctest.Wait()
				if n := d.started(); len(n) != 0 {
					t.Fatalf("workers are started on %v", n)
				}
				if said := strings.Join(all[0].said.all(), "\n"); !strings.Contains(said, tt.says) {
					t.Errorf("it is told %q, want %q in it", said, tt.says)
				}
				tt.back(d)
				for _, a := range all[:usualSlots] {
					if <-a.done; a.err != nil || a.lease.Worker.ID != "w" {
						t.Fatalf("it got %+v, %v", a.lease, a.err)
					}
				}
				for i, a := range all { // the others are worth another one, now that it is needed
					if <-a.done; a.err != nil {
						t.Fatalf("request %d: %v", i, a.err)
					}
					a.lease.Release()
				}
			})
		})
	}
}

func TestADividedModelIsNotWaitedForInVain(t *testing.T) {
	for name, tt := range map[string]struct {
		gone  func(*depot)
		r     Request
		after time.Duration
		err   string
	}{
		"a part cannot be reached": {gone: func(d *depot) { d.load("the part on hive b cannot be reached") }, after: stuckAfter},
		"a part cannot be reached, and its hive is named": {
			gone: func(d *depot) { d.load("the part on hive b cannot be reached") }, r: Request{Hive: "a"}, after: stuckAfter,
			err: "worker w of a cannot load bee, which is divided: the part on hive b cannot be reached",
		},
		"a part's hive was stopped": {
			gone: func(d *depot) { d.Lost("b"); d.Down("b", "stopped by `rbee hive stop`"); d.Stays("b") }, r: Request{Hive: "a"},
			err: "worker w of a cannot do without the hive b, which has a part of bee and is down: stopped by `rbee hive stop`",
		},
		"a part's hive was stopped, and another may do it": {gone: func(d *depot) { d.Lost("b"); d.Stays("b") }},
		"it loads for ever":     {gone: func(d *depot) { d.load("x"); d.change("a", func(s *ops.HiveSnapshot) { s.Workers[0].Error = "" }) }, after: mendWithin},
		"its hive stays away":   {gone: func(d *depot) { d.Lost("a") }, after: backWithin},
		"its hive is forgotten": {gone: func(d *depot) { d.Lost("a"); d.Forget("a") }},
		"its hive comes back without it": {gone: func(d *depot) {
			d.Lost("a")
			d.change("a", func(s *ops.HiveSnapshot) { s.Workers = nil })
			d.DrainHive("a", true)
		}},
		"another hive is named":           {gone: func(d *depot) { d.load("the hive b is down") }, r: Request{Hive: "c"}},
		"another engine is":               {gone: func(d *depot) { d.Lost("a") }, r: Request{Engine: "builtin"}},
		"no other hive can run it at all": {gone: func(d *depot) { d.Lost("a"); d.Lost("b"); d.Lost("c") }, after: backWithin, err: "a: the hive does not answer"},
		"its hive had none when it left":  {gone: func(d *depot) { d.change("a", func(s *ops.HiveSnapshot) { s.Workers = nil }); d.Lost("a") }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDividedDepot(t)
				defer d.Close()
				tt.gone(d)
				tt.r.Model = "bee"
				began := time.Now()
				a := d.ask(tt.r)
				<-a.done
				if waited := time.Since(began); waited < tt.after || waited > tt.after+tellEvery {
					t.Errorf("it waited %s, want %s", waited, tt.after)
				}
				if tt.err != "" {
					if a.err == nil || !strings.Contains(a.err.Error(), tt.err) {
						t.Errorf("it fails with %v, want %q", a.err, tt.err)
					}
					return
				}
				if a.err != nil {
					t.Fatal(a.err)
				}
				if a.lease.Worker.ID == "w" {
					t.Error("it got the worker that is not there")
				}
				a.lease.Release()
			})
		})
	}
}

func TestAWaitForADividedModelIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDividedDepot(t)
		defer d.Close()
		d.Lost("a")
		a := d.ask(Request{Model: "bee", Job: "job"})
		defer a.leave()
		x, err := d.Explain("job")
		if err != nil || len(x.Decisions) != 1 || x.Decisions[0].Outcome != ops.DecidedWait {
			t.Fatalf("%+v, %v", x, err)
		}
		var said []string
		for _, c := range x.Decisions[0].Hives {
			said = append(said, c.HiveID+" "+c.Reason)
		}
		if got := strings.Join(said, ", "); got != "localhost drained, a away, b divided, c divided" && got != "a away, b divided, c divided, localhost drained" {
			t.Errorf("it is explained by %s", got)
		}
	})
}
