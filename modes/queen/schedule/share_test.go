package schedule

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
)

// ant is a model that leaves no room for bee on the cramped depot's hive.
var ant = ops.Model{ID: "ant", Size: 7500 << 20}

// keepsBusy has a model be asked for without a pause, two at a time, each request
// taking a second, until stop is called. count is how many were answered.
func (d *depot) keepsBusy(model string) (count func() int, stop func()) {
	end, ended, answered := make(chan struct{}), make(chan struct{}, 2), 0
	for range cap(ended) {
		go func() {
			defer func() { ended <- struct{}{} }()
			for {
				select {
				case <-end:
					return
				default:
				}
				lease, err := d.Acquire(d.t.Context(), Request{Model: model, Client: "hot"})
				if err != nil {
					d.t.Error(err)
					return
				}
				time.Sleep(time.Second)
				lease.Release()
				d.mu.Lock()
				answered++
				d.mu.Unlock()
			}
		}()
	}
	synctest.Wait()
	count = func() int {
		d.mu.Lock()
		defer d.mu.Unlock()
		return answered
	}
	return count, func() {
		close(end)
		<-ended
		<-ended
	}
}

// evicts has workers that are started take the place of idle ones, as a hive does.
func (d *depot) evicts(hive string) {
	d.making = func(p Plan) {
		d.change(hive, func(s *ops.HiveSnapshot) {
			s.Workers = slices.DeleteFunc(s.Workers, func(w ops.Worker) bool { return w.Model != p.Model })
		})
	}
}

// TestAModelThatIsAlwaysBusyDoesNotStarveAnother: the other gets its worker after
// a share of time, the busy one its own back after another, and so on.
func TestAModelThatIsAlwaysBusyDoesNotStarveAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("gpu1", 8<<30, bee, ant)
		d.run("gpu1", "w", "ant", 1)
		d.evicts("gpu1")
		ants, stopAnts := d.keepsBusy("ant")
		began := time.Now()
		a := d.ask(Request{Job: "j", Model: "bee"})
		if <-a.done; a.err != nil {
			t.Fatal(a.err)
		}
		if took, n := time.Since(began), ants(); took < fairShare || took > fairShare+5*time.Second || n < 29 {
			t.Errorf("it had its worker after %s; %d others were answered until then", took, n)
		}
		// Where ant happens to run nothing at that moment, there is nothing to be finished.
		const place = "queen: place 1 of 1 in the queue for bee"
		if said := a.said.all(); !slices.Contains(said, place+": ant on gpu1 finishes what it runs, and then makes room") && !slices.Equal(said, []string{place, place, "hive: loading bee"}) {
			t.Errorf("it was told %q", said)
		}
		x, err := d.Explain("j")
		if err != nil || len(x.Decisions) < 3 || x.Decisions[1].Outcome != ops.DecidedRoom || x.Decisions[1].HiveID != "gpu1" || !x.Decisions[1].Hives[0].Chosen {
			t.Errorf("it is explained by %+v, %v", x.Decisions, err)
		}
		a.lease.Release()
		bees, stopBees := d.keepsBusy("bee")
		n, m := ants(), bees()
		time.Sleep(4 * fairShare)
		if n, m = ants()-n, bees()-m; n < 30 || m < 30 { // a round more or less is chance
			t.Errorf("in four shares ant had %d answers, bee %d", n, m)
		}
		stopAnts()
		stopBees()
	})
}

func TestRoomIsMadeOnlyByWhomItMayBe(t *testing.T) {
	for name, set := range map[string]func(*depot){
		"a pinned model":                 func(d *depot) { d.hives["gpu1"].Models[1].Pinned = true },
		"a part of another one's worker": func(d *depot) { d.hives["gpu1"].Workers[0].PartOf = "x" },
		"a divided one":                  func(d *depot) { d.hives["gpu1"].Workers[0].Parts = []string{"gpu2"} },
		"one that loads":                 func(d *depot) { d.hives["gpu1"].Workers[0].State = ops.WorkerLoading },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, busy := cramped(t)
				defer busy.Release()
				set(d)
				d.tell("gpu1")
				a := d.ask(Request{Model: "bee"})
				time.Sleep(3 * fairShare)
				synctest.Wait()
				if d.hiveOf("gpu1").claim != nil {
					t.Error("room is being made")
				}
				a.leave()
				if <-a.done; name == "a pinned model" && !strings.Contains(a.err.Error(), "gpu1: pinned models hold its memory") {
					t.Errorf("it ends with %v", a.err)
				}
			})
		})
	}
}

func TestRoomThatNobodyWantsAnyMoreIsNotMade(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(*depot, *asked)
		gone bool
	}{
		"the client goes away":      {func(_ *depot, a *asked) { a.leave() }, true},
		"there is room elsewhere":   {func(d *depot, _ *asked) { d.add("gpu2", 8<<30, bee) }, false},
		"a worker comes up there":   {func(d *depot, _ *asked) { d.add("gpu2", 0); d.run("gpu2", "x", "bee", 1) }, false},
		"the hive is drained":       {func(d *depot, _ *asked) { d.DrainHive("gpu1", true) }, true},
		"the hive is lost and back": {func(d *depot, _ *asked) { d.Lost("gpu1"); d.tell("gpu1") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, busy := cramped(t)
				a := d.ask(Request{Model: "bee"})
				time.Sleep(fairShare + tellEvery)
				waits := d.ask(Request{Model: "ant"})
				if h := d.hiveOf("gpu1"); h.claim == nil || waits.has() {
					t.Fatalf("no room is being made: %t", waits.has())
				}
				tt.end(d, a)
				synctest.Wait()
				if d.hiveOf("gpu1").claim != nil {
					t.Error("room is still being made")
				}
				if !waits.has() {
					t.Errorf("who waits for the busy one has no worker: %v", waits.err)
				}
				waits.lease.Release()
				busy.Release()
				if a.leave(); !tt.gone {
					if <-a.done; a.err != nil {
						t.Fatal(a.err)
					}
					a.lease.Release()
				}
				<-a.done
			})
		})
	}
}

func TestIdleWorkersGoBeforeBusyOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		big, small := ops.Model{ID: "big", Size: 5 << 30}, ops.Model{ID: "small", Size: 3 << 30}
		d.add("gpu1", 9<<30, bee, big, small, ops.Model{ID: "wanted", Size: 6 << 30})
		d.run("gpu1", "w1", "small", 1)
		d.run("gpu1", "w2", "big", 1)
		d.run("gpu1", "w3", "bee", 1)
		busy, idle := d.get(Request{Model: "big"}), d.get(Request{Model: "bee"})
		time.Sleep(fairShare)
		idle.Release()
		var names []string
		for _, w := range d.hiveOf("gpu1").yielding(6 << 30) {
			names = append(names, w.info.ID)
		}
		if !slices.Equal(names, []string{"w1", "w3", "w2"}) {
			t.Errorf("they go in the order %v", names)
		}
		if list := d.hiveOf("gpu1").yielding(10 << 30); list != nil {
			t.Errorf("for more than there is %v would go", list)
		}
		busy.Release()
	})
}
