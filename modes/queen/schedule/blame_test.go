package schedule

import (
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
)

// two is a depot with two workers of a slot each, of which a's is the first choice.
func two(t *testing.T) *depot {
	d := newDepot(t, Options{})
	t.Cleanup(d.Close)
	for _, id := range []string{"a", "b"} {
		d.add(id, 1<<30, bee)
		d.run(id, "w", "bee", 1)
	}
	return d
}

var onA, onB = Key{Hive: "a", Worker: "w"}, Key{Hive: "b", Worker: "w"}

func TestAWorkerThatHasFailedWhatAnotherCouldDoGetsNothingForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := two(t)
		d.Blame(map[Key]bool{onA: true, {Hive: "a", Worker: "gone"}: true, {Hive: "gone", Worker: "w"}: true})
		lease := d.get(Request{Job: "job", Model: "bee"})
		if lease.Key() != onB {
			t.Fatalf("it went to %v", lease.Key())
		}
		x, err := d.Explain("job")
		if err != nil || len(x.Decisions) != 1 || len(x.Decisions[0].Workers) != 2 {
			t.Fatalf("%+v, %v", x, err)
		}
		if lost := x.Decisions[0].Workers[1]; lost.HiveID != "a" || lost.Reason != "failing" || lost.Why != Failing.String() {
			t.Errorf("the other one lost for %+v", lost)
		}
		waits := d.ask(Request{Model: "bee"})
		if waits.has() {
			t.Errorf("while the other one is busy it went to %v", waits.lease.Key())
		}
		lease.Release()
		if !waits.has() || waits.lease.Key() != onB {
			t.Fatalf("it did not wait for the other one: %+v", waits)
		}
		waits.lease.Release()
		time.Sleep(coolFor)
		if lease = d.get(Request{Model: "bee"}); lease.Key() != onA {
			t.Errorf("after a while it went to %v", lease.Key())
		}
		lease.Release()
	})
}

func TestWhereThereIsNoOtherAWorkerIsChosenInSpiteOfItsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, leave := range map[string]func(d *depot){
			"the other one ends":     func(d *depot) { d.change("b", func(s *ops.HiveSnapshot) { s.Workers = nil; s.Models = nil }) },
			"its hive goes down":     func(d *depot) { d.Lost("b") },
			"it has failed, too":     func(d *depot) { d.Blame(map[Key]bool{onB: true}) },
			"its hive is drained":    func(d *depot) { d.DrainHive("b", true) },
			"while one waits for it": nil,
		} {
			d := two(t)
			d.Blame(map[Key]bool{onA: true})
			if leave != nil {
				leave(d)
				if lease := d.get(Request{Model: "bee"}); lease.Key() != onA {
					t.Errorf("%s: it went to %v", name, lease.Key())
				}
				continue
			}
			d.get(Request{Model: "bee"})
			waits := d.ask(Request{Model: "bee"})
			d.Lost("b")
			if !waits.has() || waits.lease.Key() != onA {
				t.Errorf("%s: it got %+v", name, waits.lease)
			}
		}
	})
}

func TestWhatIsBlamedLaterIsForgivenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := two(t)
		d.add("c", 1<<30, bee)
		d.run("c", "w", "bee", 4)
		d.Blame(map[Key]bool{onB: true})
		time.Sleep(coolFor / 2)
		d.Blame(map[Key]bool{onA: true})
		time.Sleep(coolFor / 2)
		for _, want := range []Key{{Hive: "c", Worker: "w"}, onB} { // which has more slots, and the one that was blamed first
			if got := d.get(Request{Model: "bee"}).Key(); got != want {
				t.Errorf("it went to %v, want %v", got, want)
			}
		}
		time.Sleep(coolFor / 2)
		if got := d.get(Request{Model: "bee"}).Key(); got != onA {
			t.Errorf("at last it went to %v", got)
		}
	})
}

func TestForARequestThatWantsOneThatRunsNoneIsStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 8<<30, bee)
		d.run("a", "w", "bee", 1)
		d.add("b", 8<<30, bee)
		r := Request{Job: "job", Model: "bee", Again: true, Running: true, Without: map[Key]bool{onA: true}}
		if lease, err := d.Acquire(t.Context(), r); ops.CodeOf(err) != ops.CodeUnavailable {
			t.Fatalf("it got %+v, %v", lease, err)
		}
		if x, err := d.Explain("job"); err != nil || x.Error != "each worker of bee that may do it has failed it" {
			t.Errorf("it is explained by %+v, %v", x, err)
		}
		d.run("b", "w", "bee", 1)
		busy := d.get(Request{Model: "bee", Hive: "b"})
		waits := d.ask(r)
		if waits.has() || waits.err != nil {
			t.Fatalf("it did not wait for the one that is busy: %+v", waits.err)
		}
		busy.Release()
		if !waits.has() || waits.lease.Key() != onB {
			t.Errorf("it got %+v, %v", waits.lease, waits.err)
		}
		if n := len(d.started()); n != 0 {
			t.Errorf("%d were started", n)
		}
		waits.lease.Release()
	})
}
