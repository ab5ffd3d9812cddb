package schedule

import (
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
)

// TestAWorkerThatLacksARouteIsPassedOverForThatAlone: for others it is as good as ever.
func TestAWorkerThatLacksARouteIsPassedOverForThatAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := two(t)
		embed, chat := Request{Job: "job", Model: "bee", Route: "/v1/embeddings"}, Request{Model: "bee", Route: "/v1/chat/completions"}
		failed := embed
		failed.Job = ""
		failed.Exclude(onA, ops.Errorf(ops.CodeUnsupported, "no such route"))
		failed.Exclude(Key{Hive: "gone", Worker: "w"}, ops.Errorf(ops.CodeUnsupported, "no such route"))
		d.Answered(&failed)
		busy := d.get(embed)
		if busy.Key() != onB {
			t.Fatalf("it went to %v", busy.Key())
		}
		if x, err := d.Explain("job"); err != nil || len(x.Decisions) != 1 || len(x.Decisions[0].Workers) != 2 || x.Decisions[0].Workers[1].Reason != "failing" {
			t.Errorf("%+v, %v", x, err)
		}
		waits := d.ask(embed)
		if waits.has() {
			t.Errorf("while the other one is busy it went to %v", waits.lease.Key())
		}
		late := d.ask(chat) // though another waits before it
		if !late.has() || late.lease.Key() != onA {
			t.Fatalf("another route went to %+v, %v", late.lease, late.err)
		}
		late.lease.Release()
		if waits.has() {
			t.Errorf("it went to %v", waits.lease.Key())
		}
		busy.Release()
		if !waits.has() || waits.lease.Key() != onB {
			t.Fatalf("it did not wait for the other one: %+v", waits.lease)
		}
		waits.lease.Release()
		time.Sleep(coolFor)
		if got := d.get(embed).Key(); got != onA {
			t.Errorf("after a while it went to %v", got)
		}
	})
}

// TestAWorkerThatLacksARouteIsAskedWhereThereIsNoOther, which says so.
func TestAWorkerThatLacksARouteIsAskedWhereThereIsNoOther(t *testing.T) {
	for name, leave := range map[string]func(d *depot){
		"the other one ends":    func(d *depot) { d.change("b", func(s *ops.HiveSnapshot) { s.Workers, s.Models = nil, nil }) },
		"its hive goes down":    func(d *depot) { d.Lost("b") },
		"the other lacks it":    func(d *depot) { d.lackOf(onB) },
		"the other is to blame": func(d *depot) { d.Blame(map[Key]bool{onB: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			d := two(t)
			d.lackOf(onA)
			leave(d)
			if got := d.get(Request{Model: "bee", Route: "/v1/embeddings"}).Key(); got != onA {
				t.Errorf("it went to %v", got)
			}
		})
	}
}

// lackOf notes that a worker has not got embeddings.
func (d *depot) lackOf(k Key) {
	r := Request{Model: "bee", Route: "/v1/embeddings"}
	r.Exclude(k, ops.Errorf(ops.CodeUnsupported, "no such route"))
	d.Answered(&r)
}
