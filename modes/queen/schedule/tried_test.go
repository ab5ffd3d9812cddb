package schedule

import (
	"strings"
	"testing"
	"testing/synctest"

	"rbee.dev/rbee/ops"
)

// A request that names a hive, whose only worker of the model has failed it.
func TestARequestForAHiveWhoseOnlyWorkerFailedItDoesNotWaitForThat(t *testing.T) {
	big := ops.Model{ID: "bee", Size: 5 << 30}
	worker := func(state ops.WorkerState, running int) ops.Worker {
		return ops.Worker{ID: "w", HiveID: "a", Model: "bee", State: state, Slots: 4, Running: running, Engine: "builtin", Device: "cpu"}
	}
	for name, tt := range map[string]struct {
		memory uint64
		set    func(*depot)
		err    string
	}{
		"one that is ready":               {memory: 16 << 30, set: func(d *depot) { d.place(worker(ops.WorkerReady, 0)) }},
		"one that is ready, in its place": {memory: 8 << 30, set: func(d *depot) { d.place(worker(ops.WorkerReady, 0)) }},
		"one that has ended":              {memory: 8 << 30, set: func(d *depot) { d.place(worker(ops.WorkerFailed, 0)) }},
		"one that loads again":            {memory: 16 << 30, set: func(d *depot) { d.place(worker(ops.WorkerLoading, 0)) }},
		"one that loads again in the way": {memory: 8 << 30, set: func(d *depot) { d.place(worker(ops.WorkerLoading, 0)) }, err: "a: a worker that has failed this request holds its memory"},
		"two that are ready": {memory: 64 << 30, set: func(d *depot) {
			d.place(worker(ops.WorkerReady, 0))
			d.run("a", "x", "bee", 4)
		}, err: "a: it has failed this request"},
		"while another hive loads the model": {memory: 16 << 30, set: func(d *depot) {
			d.place(worker(ops.WorkerReady, 0))
			d.add("b", 16<<30, big)
			d.place(ops.Worker{ID: "v", HiveID: "b", Model: "bee", State: ops.WorkerLoading, Slots: 4})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDepot(t, Options{})
				defer d.Close()
				d.add("a", tt.memory, big)
				tt.set(d)
				a := d.ask(Request{Model: "bee", Hive: "a", Without: map[Key]bool{{Hive: "a", Worker: "w"}: true, {Hive: "a", Worker: "x"}: true}})
				defer a.leave()
				select {
				case <-a.done:
				default:
					t.Fatal("it waits")
				}
				switch {
				case tt.err != "":
					if a.err == nil || !strings.Contains(a.err.Error(), tt.err) {
						t.Errorf("it fails with %v, want %q", a.err, tt.err)
					}
				case a.err != nil:
					t.Error(a.err)
				case a.lease.Key() != Key{Hive: "a", Worker: "s1"}:
					t.Errorf("it got %v", a.lease.Key())
				default:
					a.lease.Release()
				}
			})
		})
	}
}

// TestAWorkerIsNotTakenToHaveFailedWhatItsHiveHas, which was away: none is started beside it.
func TestAWorkerIsNotTakenToHaveFailedWhatItsHiveHas(t *testing.T) {
	for name, first := range map[string]bool{"the hive is lost first": true, "the request waits already": false} {
		synctest.Test(t, func(t *testing.T) {
			d := newDepot(t, Options{})
			defer d.Close()
			d.add("a", 8<<30, ops.Model{ID: "bee", Size: 5 << 30})
			d.run("a", "w", "bee", 1)
			busy := d.get(Request{Model: "bee"}) // there is no room for another
			if first {
				d.Lost("a")
			}
			a := d.ask(Request{Model: "bee", Again: true, Without: map[Key]bool{onA: true}})
			if a.has() || a.err != nil {
				t.Fatalf("%s: it got %+v, %v", name, a.lease, a.err)
			}
			d.Lost("a")
			d.tell("a")
			if !a.has() || a.lease.Key() != onA || len(d.started()) > 0 {
				t.Errorf("%s: it got %+v, %v", name, a.lease, a.err)
			}
			busy.Release()
		})
	}
}

func TestRoomIsWaitedForWhereTheWorkerThatFailedARequestDoesOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 8<<30, ops.Model{ID: "bee", Size: 5 << 30})
		d.run("a", "w", "bee", 4)
		busy := d.get(Request{Model: "bee"})
		a := d.ask(Request{Model: "bee", Hive: "a", Without: map[Key]bool{busy.Key(): true}})
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

func TestWithoutAnyHiveThatIsWhatIsSaid(t *testing.T) {
	d := newDepot(t, Options{})
	t.Cleanup(d.Close)
	refused := func(r Request, want string) {
		t.Helper()
		_, err := d.Acquire(t.Context(), r)
		if ops.CodeOf(err) != ops.CodeUnavailable || err.Error() != want || ops.AsError(err).Hint == "" {
			t.Errorf("%+v gets %v", r, err)
		}
	}
	d.Lost(ops.LocalHive)
	refused(Request{}, "no hive is up")
	refused(Request{Model: "bee"}, "no hive is up")
	d.add("gpu1", 8<<30)
	refused(Request{Hive: ops.LocalHive}, "the hive localhost is not up")
	if _, err := d.Acquire(t.Context(), Request{}); ops.CodeOf(err) != ops.CodeNotFound {
		t.Errorf("with a hive that has no model: %v", err)
	}
}
