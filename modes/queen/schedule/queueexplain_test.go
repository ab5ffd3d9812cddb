package schedule

import (
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
)

// explained is what is remembered of a job.
func (d *depot) explained(job string) ops.Explanation {
	d.t.Helper()
	x, err := d.Explain(job)
	if err != nil {
		d.t.Fatal(err)
	}
	return x
}

// TestARequestBehindOthersIsExplainedAsItStandsNow: with its place, and with who it
// waits for, though nothing was decided about it yet.
func TestARequestBehindOthersIsExplainedAsItStandsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 8<<30, bee)
		d.run("a", "w", "bee", 1)
		running := d.get(Request{Model: "bee"})
		first := d.ask(Request{Job: "first", Model: "bee"})
		second := d.ask(Request{Job: "second", Model: "bee"})
		time.Sleep(3 * time.Second)
		x := d.explained("second")
		if !x.Waits || x.Place != 2 || x.Waiting != 2 || x.WaitedMS != 3000 || len(x.Decisions) != 1 {
			t.Fatalf("while it waits: %+v", x)
		}
		now := x.Decisions[0]
		if now.Outcome != ops.DecidedWait || len(now.Workers) != 1 || now.Workers[0].Reason != "full" || len(now.Hives) != 1 || now.Hives[0].Reason != "running" {
			t.Errorf("what it waits for: %+v", now)
		}
		running.Release()
		if !first.has() {
			t.Fatal("the first has no worker")
		}
		if x := d.explained("second"); x.Place != 1 || x.Waiting != 1 {
			t.Errorf("once it is the next: %+v", x)
		}
		first.lease.Release()
		if !second.has() {
			t.Fatal("the second has no worker")
		}
		second.lease.Release()
		x = d.explained("second")
		if n := len(x.Decisions); x.Waits || x.Place != 2 || x.Waiting != 2 || x.Decisions[n-1].Outcome != ops.DecidedWorker {
			t.Errorf("afterwards: %+v", x)
		}
	})
}

func TestWhatAWorkerDidToARequestIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 8<<30, bee)
		d.run("a", "v", "bee", 1)
		d.run("a", "w", "bee", 1)
		r := Request{Job: "job", Model: "bee"}
		lease := d.get(r)
		lease.Release()
		d.Failed("job", ops.Errorf(ops.CodeUnavailable, "v says boom").WithHint("end it"))
		d.Failed("unknown", ops.Errorf(ops.CodeUnavailable, "boom"))
		r.Without = map[Key]bool{lease.Key(): true}
		d.get(r).Release()
		x := d.explained("job")
		if n := len(x.Decisions); n != 2 || x.Decisions[0].Failed != "v says boom" || x.Decisions[1].Failed != "" || x.Decisions[1].Workers[1].Reason != "tried" {
			t.Errorf("moved: %+v", x)
		}
		d.Failed("job", ops.Errorf(ops.CodeUnavailable, "w says boom"))
		d.Refuse(r, ops.Errorf(ops.CodeUnavailable, "v says boom").WithHint("end it"))
		x = d.explained("job")
		if x.Decisions[1].Failed != "w says boom" || x.Error != "v says boom" || x.Hint != "end it" {
			t.Errorf("failed by both: %+v", x)
		}
	})
}

func TestWhatAStartDidIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 8<<30, bee)
		d.making = func(Plan) {
			d.mu.Lock()
			d.broken["a"] = ops.Errorf(ops.CodeUnavailable, "no memory on a")
			d.mu.Unlock()
		}
		d.unloads = "unloading ant, to make room for bee"
		d.get(Request{Job: "made", Model: "bee"}).Release()
		if x := d.explained("made"); x.Decisions[0].Outcome != ops.DecidedStart || len(x.Decisions[0].Notes) != 1 || x.Decisions[0].Notes[0] != d.unloads || x.Decisions[0].Failed != "" {
			t.Errorf("one that was made room for: %+v", x)
		}
		d.change("a", func(s *ops.HiveSnapshot) { s.Workers = nil })
		a := d.ask(Request{Job: "failed", Model: "bee"})
		<-a.done
		if x := d.explained("failed"); x.Error != "no memory on a" || x.Decisions[0].Failed != "no memory on a" || x.Decisions[0].Hives[0].Why != "the model is on its disk; there seemed to be room in its memory" {
			t.Errorf("one whose start failed: %+v, %v", x, a.err)
		}
	})
}

func TestAWorkerThatIsAskedForIsExplainedAsThat(t *testing.T) {
	d := newDepot(t, Options{})
	defer d.Close()
	d.add("a", 8<<30, bee)
	if _, err := d.Settle(t.Context(), Request{Job: "spawn", Model: "bee"}); err != nil {
		t.Fatal(err)
	}
	if x := d.explained("spawn"); !x.Spawn || x.Decisions[0].HiveID != "a" {
		t.Errorf("%+v", x)
	}
	if _, err := d.Settle(t.Context(), Request{Job: "unknown", Model: "bea"}); err == nil || d.explained("unknown").Error != ops.AsError(err).Message {
		t.Errorf("of a model that there is not: %v", err)
	}
	d.DrainHive("a", true)
	if _, err := d.Settle(t.Context(), Request{Job: "drained", Model: "bee"}); err == nil || d.explained("drained").Error != ops.AsError(err).Message {
		t.Errorf("where the hive is drained: %v", err)
	}
	d.Drain(true)
	if _, err := d.Settle(t.Context(), Request{Job: "queen", Model: "bee"}); err == nil || d.explained("queen").Error != ops.AsError(err).Message {
		t.Errorf("where the queen is: %v", err)
	}
}
