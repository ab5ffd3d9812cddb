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
