package hive

import (
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

func TestAModelLargerThanTheMachineIsRefusedAndOneThatIsTightWarnedOf(t *testing.T) {
	h := &Hive{Options: Options{Name: "localhost", Memory: memory}, fleet: &fleet{}}
	total, free := memory(t.Context())
	if total == 0 || free == 0 || free >= total {
		t.Fatalf("memory is %d of %d", free, total)
	}
	var said story
	ctx := said.told(t.Context())
	wantCode(t, h.makeRoom(ctx, ops.Model{ID: "big", Size: 1 << 60}), ops.CodeUnavailable, "big takes 1.0 EiB of memory", "smaller model")
	if err := h.makeRoom(ctx, ops.Model{ID: "tight", Size: int64(total)}); err != nil || len(said.lines) != 1 {
		t.Errorf("a tight one: %v, %q", err, said.lines)
	}
	if err := h.makeRoom(ctx, ops.Model{ID: "small", Size: 1}); err != nil || len(said.lines) != 1 {
		t.Errorf("a small one: %v, %q", err, said.lines)
	}
}

func TestTheWorkerThatWasIdleForLongestGoesFirst(t *testing.T) {
	f := &fleet{members: map[string]*member{}}
	ago := func(id string, minutes int, change func(*member)) {
		m := &member{id: id, used: time.Now().Add(-time.Duration(minutes) * time.Minute), info: ops.Worker{ID: id, State: ops.WorkerReady}}
		if change != nil {
			change(m)
		}
		f.members[id] = m
	}
	ago("recent", 1, nil)
	ago("old", 20, nil)
	ago("oldest", 30, nil)
	ago("busy", 90, func(m *member) { m.info.Running = 1 })
	ago("given", 90, func(m *member) { m.given = 1 })
	ago("loading", 90, func(m *member) { m.info.State = ops.WorkerLoading })
	ago("failed", 90, func(m *member) { m.info.State = ops.WorkerFailed })
	var order []string
	for m := f.idlest(); m != nil; m = f.idlest() {
		order = append(order, m.id)
	}
	if got := strings.Join(order, " "); got != "oldest old recent" {
		t.Errorf("they go in the order %q", got)
	}
}
