package schedule

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
)

func TestWhoWaitedBeforeAHiveWasDrainedIsServedThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := one(t, Options{})
		lease := d.get(Request{Model: "bee"})
		first, second := d.ask(Request{Job: "j", Model: "bee"}), d.ask(Request{Model: "bee", Priority: ops.Batch})
		d.DrainHive("gpu1", true)
		d.DrainHive("gpu1", true) // again it is as before
		late := d.ask(Request{Model: "bee"})
		if <-late.done; ops.CodeOf(late.err) != ops.CodeUnavailable {
			t.Errorf("who came after it has %+v, %v", late.lease, late.err)
		}
		if n, elsewhere := d.WaitingOn("gpu1"), d.WaitingOn(ops.LocalHive); n != 2 || elsewhere != 0 {
			t.Errorf("%d wait for its workers, %d for another hive's", n, elsewhere)
		}
		if first.has() || second.has() {
			t.Fatal("two have the only slot")
		}
		lease.Release()
		if !first.has() || second.has() {
			t.Fatalf("the first to wait has no worker: %v", first.err)
		}
		first.lease.Release()
		if !second.has() {
			t.Fatalf("the second has none: %v", second.err)
		}
		second.lease.Release()
		x, err := d.Explain("j")
		if n := len(x.Decisions); err != nil || n == 0 || x.Decisions[n-1].HiveID != "gpu1" || x.Decisions[n-1].WorkerID != "w" {
			t.Errorf("it is explained by %+v, %v", x, err)
		}
	})
}

func TestWhoWaitedBeforeADrainIsNotHeldUpByWhoCameAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := one(t, Options{})
		d.add("gpu2", 1<<30, bee)
		d.run("gpu2", "x", "bee", 1)
		leases := map[string]*Lease{}
		for range 2 {
			l := d.get(Request{Model: "bee"})
			leases[l.Worker.HiveID] = l
		}
		old := d.ask(Request{Model: "bee", Priority: ops.Batch})
		d.DrainHive("gpu1", true)
		late := d.ask(Request{Model: "bee"}) // whose turn is earlier
		leases["gpu1"].Release()
		if !old.has() || old.lease.Worker.HiveID != "gpu1" || late.has() {
			t.Errorf("who waited has %+v, %v; who came after, any: %t", old.lease, old.err, late.has())
		}
		leases["gpu2"].Release()
		if !late.has() || late.lease.Worker.HiveID != "gpu2" {
			t.Errorf("who came after has %+v, %v", late.lease, late.err)
		}
	})
}

func TestWhoWaitsForAStartOnAHiveThatIsDrainedGetsItsWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		t.Cleanup(d.Close)
		d.loads = time.Minute
		d.add("gpu1", 8<<30, bee)
		var all []*asked
		for range usualSlots + 1 { // more than the worker has slots
			all = append(all, d.ask(Request{Model: "bee"}))
		}
		d.DrainHive("gpu1", true)
		time.Sleep(2 * time.Minute) // of the bubble's
		for i, a := range all[:usualSlots] {
			if !a.has() {
				t.Fatalf("request %d has no worker: %v", i, a.err)
			}
		}
		all[0].lease.Release()
		if last := all[usualSlots]; !last.has() {
			t.Errorf("the last has no worker: %v", last.err)
		}
	})
}

func TestWhoWaitedForADrainedHiveThatIsLostIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := one(t, Options{})
		lease := d.get(Request{Model: "bee"})
		a := d.ask(Request{Model: "bee"})
		d.DrainHive("gpu1", true)
		late := d.ask(Request{Model: "bee", Hive: "gpu1"})
		if <-late.done; !strings.Contains(ops.AsError(late.err).Hint, "`rbee hive resume gpu1`") {
			t.Errorf("who came after is told %v (%s)", late.err, ops.AsError(late.err).Hint)
		}
		d.Lost("gpu1")
		if <-a.done; ops.CodeOf(a.err) != ops.CodeUnavailable {
			t.Errorf("it has %+v, %v", a.lease, a.err)
		}
		lease.Release() // of a worker that is gone
	})
}

// cramped is a depot whose only hive is full with a busy worker of another model,
// so that a request for bee waits for room.
func cramped(t *testing.T) (d *depot, busy *Lease) {
	d = newDepot(t, Options{})
	t.Cleanup(d.Close)
	d.add("gpu1", 8<<30, bee, ant)
	d.run("gpu1", "w", "ant", 4)
	return d, d.get(Request{Model: "ant"})
}

func TestWhoWaitsForRoomOnAHiveThatIsDrainedWaitsOn(t *testing.T) {
	for name, tt := range map[string]struct {
		after func(*depot) // the drain
		want  string       // the hive that it gets
	}{
		"until the hive is resumed": {func(d *depot) { d.DrainHive("gpu1", false) }, "gpu1"},
		"until another can run it":  {func(d *depot) { d.add("gpu2", 8<<30, bee) }, "gpu2"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, busy := cramped(t)
				a, named := d.ask(Request{Job: "j", Model: "bee"}), d.ask(Request{Model: "bee", Hive: "gpu1"})
				d.DrainHive("gpu1", true)
				if <-named.done; ops.CodeOf(named.err) != ops.CodeUnavailable || !strings.Contains(ops.AsError(named.err).Hint, "`rbee hive resume gpu1`") {
					t.Errorf("the one that names the hive has %v", named.err)
				}
				late := d.ask(Request{Model: "bee"})
				if <-late.done; ops.CodeOf(late.err) != ops.CodeUnavailable {
					t.Errorf("who came after has %v", late.err)
				}
				busy.Release()
				time.Sleep(tellEvery)
				if a.has() || a.err != nil || len(d.started()) != 0 {
					t.Fatalf("the one that waits has %+v, %v; started were %v", a.lease, a.err, d.started())
				}
				said := a.said.all()
				if n := len(said); n != 1 || said[n-1] != "queen: place 1 of 1 in the queue for bee: the hive gpu1 is drained, and no other can run it; `rbee hive resume gpu1` has it take work again" {
					t.Errorf("it was told %q", said)
				}
				tt.after(d)
				if <-a.done; a.err != nil || a.lease.Worker.HiveID != tt.want {
					t.Errorf("then it has %+v, %v", a.lease, a.err)
				}
				a.lease.Release()
			})
		})
	}
}

func TestWhoWaitsForRoomThatADrainedHiveNeverHasIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, busy := cramped(t)
		defer busy.Release()
		a := d.ask(Request{Model: "bee"})
		d.DrainHive("gpu1", true)
		d.change("gpu1", func(s *ops.HiveSnapshot) { s.Models[0].Memory = 9 << 30 }) // it was looked at
		if <-a.done; ops.CodeOf(a.err) != ops.CodeUnavailable {
			t.Errorf("it has %+v, %v", a.lease, a.err)
		}
	})
}

// TestWhatRunsIsCountedAsItIsNow: what a hive tells of it is a moment old.
func TestWhatRunsIsCountedAsItIsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := one(t, Options{})
		d.add("gpu2", 8<<30, bee)
		says := func(n int) {
			d.change("gpu1", func(h *ops.HiveSnapshot) { h.Workers[0].Running = n })
		}
		runs := func(what string, want int) {
			t.Helper()
			if all, there, elsewhere := d.RunningOn(""), d.RunningOn("gpu1"), d.RunningOn("gpu2"); all != want || there != want || elsewhere != 0 {
				t.Errorf("%s: %d, of which %d on gpu1 and %d on gpu2", what, all, there, elsewhere)
			}
		}
		lease := d.get(Request{Model: "bee"})
		runs("before the hive tells", 1)
		time.Sleep(time.Second)
		says(1)
		runs("once it has", 1)
		lease.Release()
		runs("when it is over", 0)
		says(1)
		runs("when the hive still tells of it", 0)
		time.Sleep(time.Second)
		says(1)
		runs("which somebody else has asked for", 1)
		d.Lost("gpu1")
		runs("on a hive that is gone", 0)
	})
}
