package hive

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"rbee.dev/rbee/modes/hive/cores"
	"rbee.dev/rbee/ops"
)

// bound is what was asked of the system, in order.
type bound struct {
	calls []string
	gone  map[int]bool
}

func (b *bound) bind(pid int, cpus []int) error {
	if b.gone[pid] {
		return os.ErrProcessDone
	}
	b.calls = append(b.calls, fmt.Sprint(pid, cpus))
	return nil
}

func (b *bound) want(t *testing.T, calls ...string) {
	t.Helper()
	slices.Sort(b.calls)
	if !slices.Equal(b.calls, calls) {
		t.Errorf("bound were %q, want %q", b.calls, calls)
	}
	b.calls = nil
}

func newSharing(n int) (*sharing, *bound) {
	b := &bound{gone: map[int]bool{}}
	s := &sharing{bind: b.bind, given: map[string]given{}}
	for i := range n {
		s.cores.List = append(s.cores.List, cores.Core{i})
	}
	return s, b
}

// computing is a worker of the builtin engine; its process is none, so that it
// stands alone in its family.
func computing(t *testing.T, id string, pid int) *member {
	t.Helper()
	m := newMember(id, t.TempDir(), "localhost", want{engine: builtin, device: processor})
	t.Cleanup(m.client.Close)
	m.info.State, m.info.Running, m.info.PID = ops.WorkerReady, 1, pid
	return m
}

const nobody = 1 << 30 // no process has such an id

func TestWorkersThatComputeAtTheSameTimeGetCoresOfTheirOwn(t *testing.T) {
	s, b := newSharing(4)
	one, two, three := computing(t, "w1", nobody+1), computing(t, "w2", nobody+2), computing(t, "w3", nobody+3)
	share := func(list ...*member) {
		t.Helper()
		if err := s.share(list); err != nil {
			t.Fatal(err)
		}
	}
	said := func(n int, cpus string) string { return fmt.Sprint(nobody+n, " ", cpus) }

	share(one)
	b.want(t) // it has all of them anyway
	share(one, two)
	b.want(t, said(1, "[0 1]"), said(2, "[2 3]"))
	share(one, two)
	b.want(t) // nothing has changed
	two.info.Running = 0
	share(one, two)
	b.want(t, said(1, "[0 1 2 3]"), said(2, "[0 1 2 3]"))
	two.info.State = ops.WorkerLoading
	share(one, two, three)
	b.want(t, said(1, "[0]"), said(2, "[1]"), said(3, "[2 3]"))
	close(one.ended)
	share(one, two, three)
	b.want(t, said(2, "[0 1]")) // the third has its own already
	if _, ok := s.given["w1"]; ok {
		t.Error("what a dead worker had is remembered")
	}
}

func TestWhoComputesElsewhereTakesNoCores(t *testing.T) {
	for name, change := range map[string]func(*member){
		"on a card":              func(m *member) { m.info.Device = "cuda:0,cuda:1" },
		"where its flags say":    func(m *member) { m.want.flags = []string{"--cpu-mask=1"} },
		"nothing":                func(m *member) { m.info.Running = 0 },
		"as its process is gone": func(m *member) { close(m.ended) },
	} {
		t.Run(name, func(t *testing.T) {
			s, b := newSharing(2)
			other := computing(t, "w2", nobody+2)
			change(other)
			if err := s.share([]*member{computing(t, "w1", nobody+1), other}); err != nil {
				t.Fatal(err)
			}
			b.want(t)
		})
	}
}

func TestAnEngineThatWasStartedAgainIsBoundToo(t *testing.T) {
	s, b := newSharing(2)
	one, two := computing(t, "w1", nobody+1), computing(t, "w2", nobody+2)
	if err := s.share([]*member{one, two}); err != nil {
		t.Fatal(err)
	}
	b.calls = nil
	b.gone[nobody+1], b.gone[nobody+2] = true, true
	one.info.PID, two.info.PID, two.info.Running = nobody+3, nobody+4, 0
	if err := s.share([]*member{one, two}); err != nil {
		t.Fatal(err)
	}
	b.want(t, fmt.Sprint(nobody+3, " [0 1]"), fmt.Sprint(nobody+4, " [0 1]"))
}

func TestWhatTheSystemRefusesIsSaid(t *testing.T) {
	s, _ := newSharing(2)
	s.bind = func(int, []int) error { return os.ErrPermission }
	err := s.share([]*member{computing(t, "w1", nobody+1), computing(t, "w2", nobody+2)})
	if err == nil || !strings.Contains(err.Error(), "permission") {
		t.Errorf("got %v", err)
	}
}
