package hive

import (
	"errors"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestWhoWaitsForAWorkerThatNeverStartsIsToldWhy(t *testing.T) {
	why := errors.New("no such program")
	for range 1000 {
		m := newMember("w1", t.TempDir(), "localhost", want{})
		go m.finish(why) // ends at once
		if err := m.wait(t.Context()); !errors.Is(err, why) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestWhoWaitsForAWorkerIsToldWhatLoadingWaitsFor(t *testing.T) {
	m := newMember("w1", t.TempDir(), "localhost", want{})
	m.heard(ops.Worker{State: ops.WorkerLoading, Waiting: "1 of 3"})
	said := make(chan string, 10)
	waited := make(chan error, 1)
	s := &story{see: func(e ops.Event) { said <- e.(ops.NarrationEvent).Human }}
	ctx := s.told(t.Context())
	go func() { waited <- m.wait(ctx) }() // received below
	if got := <-said; got != "1 of 3" {
		t.Errorf("first it is told %q", got)
	}
	m.heard(ops.Worker{State: ops.WorkerLoading, Waiting: "1 of 3"}) // nothing new
	m.heard(ops.Worker{State: ops.WorkerLoading, Waiting: "2 of 3"})
	if got := <-said; got != "2 of 3" {
		t.Errorf("then it is told %q", got)
	}
	m.heard(ops.Worker{State: ops.WorkerReady})
	if err := <-waited; err != nil || len(said) > 0 {
		t.Errorf("got %v, and %d more words", err, len(said))
	}
}

func TestABinaryThatIsGoneFailsTheWorkerAndSaysSo(t *testing.T) {
	f := newFleet(homeIn(t), "localhost", "/nowhere/rbee", nopLog, func() {})
	t.Cleanup(f.Close)
	m, started := f.spawn(want{model: ops.Model{ID: "tinybee"}}, "w1")
	if !started {
		t.Fatal("it was there already")
	}
	wantCode(t, m.wait(t.Context()), ops.CodeUnavailable, "worker w1: start worker serve", "/nowhere/rbee")
	if list := f.list(); len(list) != 1 || list[0].State != ops.WorkerFailed {
		t.Errorf("the list says %+v", list)
	}
	if again, started := f.spawn(want{model: ops.Model{ID: "tinybee"}}, "w1"); !started || again == m {
		t.Error("the failed one is not replaced")
	}
}

func TestOfTheWorkersThatFitTheIdlestIsPicked(t *testing.T) {
	f := newFleet(homeIn(t), "localhost", "/nowhere/rbee", nopLog, func() {})
	t.Cleanup(f.Close)
	w := want{model: ops.Model{ID: "bee"}, engine: "builtin", device: "cpu"}
	add := func(id string, change func(*member)) {
		m := newMember(id, t.TempDir(), "localhost", w)
		m.info.State, m.info.Running = ops.WorkerReady, 1
		change(m)
		f.members[id] = m
	}
	add("another-model", func(m *member) { m.info.Model, m.info.Running = "wasp", 0 })
	add("another-device", func(m *member) { m.info.Device, m.info.Running = "cuda:0", 0 })
	add("failed", func(m *member) { m.info.State, m.info.Running = ops.WorkerFailed, 0 })
	add("stopping", func(m *member) { m.asked, m.info.Running = true, 0 })
	add("broken", func(m *member) { m.info.State, m.info.FailedStarts, m.info.Running = ops.WorkerLoading, 2, 0 })
	add("loading", func(m *member) { m.info.State, m.info.Running = ops.WorkerLoading, 0 })
	add("busier", func(m *member) { m.info.State, m.info.Running = ops.WorkerBusy, 3 })
	add("idlest", func(*member) {})
	var got []string
	for range 4 {
		m, started := f.pick(w, "new")
		if started {
			t.Fatal("a new one is started")
		}
		got = append(got, m.id)
	}
	// The job it runs is taken for one of those given: after three it has as many
	// as the busier one.
	for i, id := range []string{"idlest", "idlest", "idlest"} {
		if got[i] != id {
			t.Errorf("picked %v", got)
		}
	}
	for _, id := range []string{"idlest", "busier"} {
		delete(f.members, id)
	}
	if m, started := f.pick(w, "new"); started || m.id != "loading" {
		t.Errorf("with none ready: %s", m.id)
	}
	if !f.has(w) || f.has(want{model: ops.Model{ID: "hornet"}}) {
		t.Error("has disagrees")
	}
}
