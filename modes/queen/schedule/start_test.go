package schedule

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
)

func TestWorkersAreStartedWhereTheyFit(t *testing.T) {
	big := ops.Model{ID: "bee", Size: 1 << 30, Memory: 6 << 30}
	broken := ops.Worker{
		ID: "w", HiveID: "a", Model: "bee", Engine: "builtin", Device: "cpu", Slots: 4,
		State: ops.WorkerLoading, Error: "it ended", FailedStarts: 2,
	}
	for name, tt := range map[string]struct {
		set  func(*depot)
		r    Request
		want []string // hives
		get  bool     // it has to get the model
		err  string
	}{
		"on the hive that has it":           {set: func(d *depot) { d.add("a", 8<<30); d.add("b", 8<<30, big) }, want: []string{"b"}},
		"its estimate counts, not its file": {set: func(d *depot) { d.add("a", 4<<30, big); d.add("b", 8<<30, big) }, want: []string{"b"}},
		"on one that gets it, where those with it are full": {set: func(d *depot) {
			d.add("a", 8<<30, big, ops.Model{ID: "ant", Size: 7 << 30, Pinned: true})
			d.run("a", "w", "ant", 4)
			d.add("b", 8<<30)
		}, want: []string{"b"}, get: true},
		"where idle workers can go": {set: func(d *depot) {
			d.add("a", 8<<30, big, ops.Model{ID: "ant", Size: 7 << 30})
			d.run("a", "w", "ant", 4)
		}, want: []string{"a"}},
		"not on a drained one":                          {set: func(d *depot) { d.add("a", 8<<30, big); d.add("b", 8<<30, big); d.DrainHive("a", true) }, want: []string{"b"}},
		"on the one that is named":                      {set: func(d *depot) { d.add("a", 8<<30, big); d.add("b", 8<<30, big) }, r: Request{Hive: "b"}, want: []string{"b"}},
		"on another engine than the one that runs":      {set: func(d *depot) { d.add("a", 64<<30, big); d.run("a", "w", "bee", 4) }, r: Request{Engine: "llamacpp"}, want: []string{"a"}},
		"not again where it comes up on another device": {set: func(d *depot) { d.add("a", 8<<30, big) }, r: Request{Device: "cuda:7"}, want: []string{"a"}, err: "the hive a runs bee on builtin, cpu"},
		"beside one whose engine cannot be started again, as if it were not there": {set: func(d *depot) {
			d.add("a", 8<<30, big)
			d.place(broken)
		}, want: []string{"a"}},
		"nowhere when that fails, too": {set: func(d *depot) {
			d.add("a", 8<<30, big)
			d.place(broken)
			d.broken["a"] = ops.Errorf(ops.CodeUnavailable, "no driver on a")
		}, want: []string{"a"}, err: "no driver on a"},
		"nowhere when only a broken one is asked for": {set: func(d *depot) {
			d.add("a", 2<<30, big)
			d.place(broken)
		}, err: "worker w of a, which runs bee, cannot start its engine again: it ended"},
		"elsewhere when one fails": {set: func(d *depot) {
			d.add("a", 8<<30, big)
			d.add("b", 8<<30, big)
			d.broken["a"] = ops.Errorf(ops.CodeUnavailable, "no memory on a")
		}, want: []string{"a", "b"}},
		"nowhere when all fail, and the last error is told": {set: func(d *depot) {
			d.add("a", 8<<30, big)
			d.broken["a"] = ops.Errorf(ops.CodeUnavailable, "no memory on a")
		}, want: []string{"a"}, err: "no memory on a"},
		"where it is larger than all memory, on the largest that has it, which says in numbers why not": {set: func(d *depot) {
			d.add("a", 2<<30, big)
			d.add("b", 3<<30, big)
			d.add("c", 4<<30)
			d.add(ops.LocalHive, 1<<30)
			d.broken["b"] = ops.Errorf(ops.CodeUnavailable, "bee takes about 6.0 GiB")
		}, want: []string{"b"}, err: "bee takes about 6.0 GiB"},
		"there, too, where that one is named":                  {set: func(d *depot) { d.add("a", 2<<30, big); d.add("b", 3<<30, big) }, r: Request{Hive: "a"}, want: []string{"a"}},
		"and where the one that is named would have to get it": {set: func(d *depot) { d.add("a", 3<<30, big); d.add("b", 2<<30) }, r: Request{Hive: "b"}, want: []string{"b"}, get: true},
		"nowhere where it is larger than all memory, and the hive with more does not answer": {set: func(d *depot) {
			d.add("a", 2<<30, big)
			d.add("b", 64<<30, big)
			d.Lost("b")
		}, err: "a: the model is larger than the hive's memory"},
		"nowhere where all is pinned": {set: func(d *depot) {
			d.add("a", 8<<30, big, ops.Model{ID: "ant", Size: 7 << 30, Pinned: true})
			d.run("a", "w", "ant", 4)
		}, err: "a: pinned models hold its memory: ant"},
		"nowhere when the hive is down": {set: func(d *depot) { d.add("a", 8<<30, big); d.Lost("a") }, err: "a: the hive does not answer"},
		"an unknown model":              {set: func(d *depot) { d.add("a", 8<<30, big) }, r: Request{Model: "beee"}, err: `there is no model "beee"`},
		"a model that is broken":        {set: func(d *depot) { d.add("a", 8<<30, ops.Model{ID: "bee", Error: "truncated"}) }, err: "bee on a cannot be used: truncated"},
		"when the queen is drained":     {set: func(d *depot) { d.add("a", 8<<30, big); d.Drain(true) }, err: "the queen is drained"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDepot(t, Options{})
				defer d.Close()
				tt.set(d)
				if tt.r.Model == "" {
					tt.r.Model = "bee"
				}
				lease, err := d.Acquire(t.Context(), tt.r)
				if got := d.started(); !slices.Equal(got, tt.want) {
					t.Errorf("workers are started on %v, want %v", got, tt.want)
				}
				if tt.err != "" {
					if err == nil || !strings.Contains(err.Error(), tt.err) {
						t.Errorf("it fails with %v, want %q", err, tt.err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				lease.Release()
				if last := d.plans[len(d.plans)-1]; last.Get != tt.get || lease.Worker.HiveID != last.Hive || tt.get && last.From != "a" {
					t.Errorf("by the plan %+v it got %+v", last, lease.Worker)
				}
			})
		})
	}
}

func TestWhoWaitsForAStartHearsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.loads = 3 * time.Second
		d.add("a", 8<<30, bee)
		first := d.ask(Request{Model: "bee", Client: "a"})
		second := d.ask(Request{Model: "bee", Client: "b"})
		first.leave() // the start goes on
		<-first.done
		if <-second.done; second.err != nil {
			t.Fatal(second.err)
		}
		second.lease.Release()
		if got := second.said.all(); !slices.Equal(got, []string{"hive: loading bee"}) || len(d.started()) != 1 {
			t.Errorf("of %d starts it heard %q", len(d.started()), got)
		}
	})
}

func TestAsManyWorkersAreStartedAsThoseWhoWaitCanUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.loads = time.Second
		for _, id := range []string{"a", "b", "c"} {
			d.add(id, 8<<30, bee)
		}
		var all []*asked
		for range 6 { // a worker has four slots
			all = append(all, d.ask(Request{Model: "bee"}))
		}
		for _, a := range all {
			if <-a.done; a.err != nil {
				t.Fatal(a.err)
			}
		}
		if n := len(d.started()); n != 2 {
			t.Errorf("%d workers were started for 6 requests", n)
		}
		for _, a := range all {
			a.lease.Release()
		}
	})
}

func TestAWorkerThatSomebodyElseStartsIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 8<<30, bee)
		d.change("a", func(s *ops.HiveSnapshot) {
			s.Workers = []ops.Worker{{ID: "w", Model: "bee", State: ops.WorkerLoading, Slots: 4}}
		})
		a := d.ask(Request{Model: "bee"})
		time.Sleep(tellEvery + 2*tellAgain)
		synctest.Wait()
		d.change("a", func(s *ops.HiveSnapshot) { s.Workers[0].State = ops.WorkerReady })
		if <-a.done; a.err != nil || a.lease.Worker.ID != "w" || len(d.started()) != 0 {
			t.Errorf("it got %+v, %v; %d were started", a.lease, a.err, len(d.started()))
		}
		a.lease.Release()
		told := "queen: worker w of a is loading bee"
		if got := a.said.all(); !slices.Equal(got, []string{told, told, told}) {
			t.Errorf("meanwhile it was told %q", got)
		}
	})
}

func TestAWorkerThatBreaksWhileItIsWaitedForIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 8<<30, bee)
		d.run("a", "w", "bee", 4)
		fail := func(times int) {
			d.change("a", func(s *ops.HiveSnapshot) {
				s.Workers[0].State, s.Workers[0].Error, s.Workers[0].FailedStarts = ops.WorkerLoading, "it ended", times
			})
		}
		fail(0)
		a := d.ask(Request{Job: "j", Model: "bee"})
		time.Sleep(tellEvery)
		synctest.Wait()
		if got := a.said.all(); !slices.Equal(got, []string{"queen: worker w of a is loading bee again: it ended"}) {
			t.Errorf("it was told %q", got)
		}
		if fail(1); a.has() || len(d.started()) != 0 {
			t.Fatal("another was started at the first failure")
		}
		fail(2)
		if <-a.done; a.err != nil || a.lease.Worker.ID == "w" || len(d.started()) != 1 {
			t.Fatalf("it got %+v, %v; %d were started", a.lease, a.err, len(d.started()))
		}
		x, err := d.Explain("j")
		if err != nil || !slices.ContainsFunc(x.Decisions, func(c ops.Decision) bool {
			return slices.ContainsFunc(c.Workers, func(w ops.Considered) bool {
				return w.Reason == "broken" && w.Why == "its engine has ended and cannot be started again: it ended"
			})
		}) {
			t.Errorf("it is explained as %+v, %v", x.Decisions, err)
		}
		d.change("a", func(s *ops.HiveSnapshot) {
			s.Workers[0].State, s.Workers[0].Error, s.Workers[0].FailedStarts = ops.WorkerReady, "", 0
		})
		back := d.get(Request{Model: "bee"})
		if back.Worker.ID != "w" {
			t.Errorf("once it is back, %s has the next request", back.Worker.ID)
		}
		back.Release()
		a.lease.Release()
	})
}

func TestRoomIsWaitedForUntilABusyWorkerFallsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 8<<30, bee, ops.Model{ID: "ant", Size: 7500 << 20})
		d.run("a", "w", "ant", 4)
		busy := d.get(Request{Model: "ant"})
		a := d.ask(Request{Model: "bee"})
		if a.has() || len(d.started()) != 0 {
			t.Fatal("a worker was started beside one that leaves no room")
		}
		busy.Release()
		if <-a.done; a.err != nil {
			t.Fatal(a.err)
		}
		a.lease.Release()
	})
}

func TestAFailedStartIsNotTriedForEveryoneWhileOthersAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 8<<30, bee)
		d.run("a", "w", "bee", 1)
		d.add("b", 8<<30, bee)
		d.broken["b"] = ops.Errorf(ops.CodeUnavailable, "no memory on b")
		lease := d.get(Request{Model: "bee"})
		first := d.ask(Request{Model: "bee"})
		second := d.ask(Request{Model: "bee"})
		if n := len(d.started()); n != 1 || first.has() || second.has() {
			t.Errorf("%d starts for two that wait", n)
		}
		time.Sleep(coolFor + time.Second)
		third := d.ask(Request{Model: "bee"})
		if n := len(d.started()); n != 2 {
			t.Errorf("after a while there were %d starts", n)
		}
		for _, a := range []*asked{first, second, third} {
			lease.Release()
			<-a.done
			lease = a.lease
		}
		lease.Release()
	})
}

func TestWhereAnotherWorkerIsWantedItIsSettledWhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 8<<30, bee)
		d.run("a", "w", "bee", 4)
		if p, err := d.Settle(t.Context(), Request{Model: "bee"}); err != nil || p.Hive != "a" || p.Get {
			t.Errorf("beside the one there: %+v, %v", p, err)
		}
		d.DrainHive("a", true)
		d.add("b", 8<<30)
		if p, err := d.Settle(t.Context(), Request{}); err != nil || p.Hive != "b" || !p.Get || p.From != "a" || p.Model != "bee" {
			t.Errorf("the model added last, copied: %+v, %v", p, err)
		}
		d.Forget("b")
		if p, err := d.Settle(t.Context(), Request{Model: "bee"}); ops.CodeOf(err) != ops.CodeUnavailable {
			t.Errorf("where nobody may: %+v, %v", p, err)
		}
	})
}

// TestRoomThatTheHiveItselfHasNotIsWaitedFor: the scheduler's estimate says that
// there is room, and the hive, which knows better, that its busy workers leave none.
func TestRoomThatTheHiveItselfHasNotIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 64<<30, bee, ant)
		d.run("a", "w", "ant", 4)
		busy := d.get(Request{Model: "ant"})
		d.broken["a"] = ops.Errorf(ops.CodeBusy, "no room on a")
		a := d.ask(Request{Job: "j", Model: "bee"})
		time.Sleep(time.Minute)
		if a.has() || a.err != nil {
			t.Fatalf("it has %+v, %v", a.lease, a.err)
		}
		if n := len(d.started()); n < 2 || n > 10 {
			t.Errorf("in a minute the hive was asked %d times", n)
		}
		if d.hiveOf("a").claim == nil && d.get(Request{Model: "ant"}) != nil {
			t.Error("the busy one need not make room")
		}
		d.mu.Lock()
		delete(d.broken, "a")
		d.mu.Unlock()
		busy.Release()
		if <-a.done; a.err != nil {
			t.Fatal(a.err)
		}
		a.lease.Release()
	})
}

func TestWhoComesWhileAHiveIsAwayForAMomentWaitsForIt(t *testing.T) {
	for name, tt := range map[string]struct {
		away   time.Duration // when it comes
		set    func(*depot)
		waited time.Duration // until it is refused; 0 is that the hive is back before
	}{
		"one that is back in a moment":      {away: time.Second},
		"not one that stays away":           {away: time.Second, waited: missedFor - time.Second},
		"not one that has been away":        {away: missedFor},
		"not one that somebody has stopped": {set: func(d *depot) { d.Stays("a") }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDepot(t, Options{})
				defer d.Close()
				d.add("a", 8<<30, bee)
				d.run("a", "w", "bee", 1)
				d.Lost("a")
				if tt.set != nil {
					tt.set(d)
				}
				time.Sleep(tt.away)
				came := time.Now()
				a := d.ask(Request{Model: "bee"})
				if name == "one that is back in a moment" {
					d.tell("a")
					if <-a.done; a.err != nil || a.lease.Worker.ID != "w" || len(d.started()) != 0 {
						t.Errorf("it got %+v, %v", a.lease, a.err)
					}
					return
				}
				<-a.done
				if waited := time.Since(came); a.err == nil || !strings.Contains(a.err.Error(), "a: the hive does not answer") || waited < tt.waited || waited > tt.waited+tellEvery {
					t.Errorf("after %v it got %+v, %v", waited, a.lease, a.err)
				}
			})
		})
	}
}

func TestWhoComesBeforeAHiveIsReachedWaitsForIt(t *testing.T) {
	for name, then := range map[string]func(*depot){
		"":                            func(d *depot) { d.tell("a") },
		"a is down: no route to host": func(d *depot) { d.Down("a", ""); d.Down("a", "no route to host") },
		"a: the hive does not answer": func(*depot) { time.Sleep(missedFor) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDepot(t, Options{})
				defer d.Close()
				d.mu.Lock()
				d.hives["a"] = &ops.HiveSnapshot{Models: []ops.Model{bee}}
				d.mu.Unlock()
				d.Remember("a", *d.hives["a"])
				a := d.ask(Request{Model: "bee"})
				select {
				case <-a.done:
					t.Fatalf("it got %+v, %v", a.lease, a.err)
				default: // it waits
				}
				then(d)
				if <-a.done; name == "" {
					if a.err != nil {
						t.Error(a.err)
					}
				} else if a.err == nil || !strings.Contains(a.err.Error(), name) {
					t.Errorf("it ends with %v", a.err)
				}
			})
		})
	}
}

func TestWhoWaitedOutlastsAHiveThatIsAwayForAMoment(t *testing.T) {
	for name, tt := range map[string]struct {
		away time.Duration
		back bool
		err  string
	}{
		"one that is back in a moment": {away: 3 * time.Second, back: true},
		"not one that stays away":      {away: 2 * backWithin, err: "a: the hive does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDepot(t, Options{})
				defer d.Close()
				d.add("a", 8<<30, bee)
				d.run("a", "w", "bee", 1)
				busy := d.get(Request{Model: "bee"})
				a := d.ask(Request{Model: "bee"})
				d.Lost("a")
				if a.has() {
					t.Fatalf("it is over: %v", a.err)
				}
				time.Sleep(tt.away)
				synctest.Wait()
				if tt.back {
					d.tell("a")
				}
				busy.Release()
				<-a.done
				if tt.err != "" {
					if a.err == nil || !strings.Contains(a.err.Error(), tt.err) {
						t.Errorf("it ends with %v", a.err)
					}
					return
				}
				if a.err != nil || a.lease.Worker.ID != "w" || len(d.started()) != 0 {
					t.Fatalf("it got %+v, %v; %d were started", a.lease, a.err, len(d.started()))
				}
				a.lease.Release()
				if got := a.said.all(); !slices.Contains(got, "queen: place 1 of 1 in the queue for bee: the hive a does not answer at the moment") {
					t.Errorf("it was told %q", got)
				}
			})
		})
	}
}
