package gateway

import (
	"testing"

	"rbee.dev/rbee/ops"
)

func TestTheWorkerOfARequestIsChosen(t *testing.T) {
	worker := func(hive, id string, state ops.WorkerState, slots, running, given int) candidate {
		return candidate{ops.Worker{HiveID: hive, ID: id, Model: "m", State: state, Slots: slots, Running: running}, given}
	}
	const ready, busy = ops.WorkerReady, ops.WorkerBusy
	other := worker("localhost", "other", ready, 4, 0, 0)
	other.Model = "n"
	for _, tt := range []struct {
		name string
		all  []candidate
		want string // "" is none
	}{
		{"nobody is there", nil, ""},
		{"another model", []candidate{other}, ""},
		{"not yet ready", []candidate{worker("a", "w", ops.WorkerLoading, 4, 0, 0)}, ""},
		{"failed", []candidate{worker("a", "w", ops.WorkerFailed, 4, 0, 0)}, ""},
		{"the only one", []candidate{other, worker("a", "w", ready, 4, 3, 0)}, "w"},
		{"a busy one queues", []candidate{worker("a", "w", busy, 1, 1, 1)}, "w"},
		{"the least busy", []candidate{worker("a", "v", ready, 4, 2, 0), worker("a", "w", ready, 4, 1, 0)}, "w"},
		{"by its capacity", []candidate{worker("a", "v", ready, 2, 1, 0), worker("a", "w", ready, 8, 2, 0)}, "w"},
		{"what was just given counts", []candidate{worker("a", "v", ready, 4, 0, 3), worker("a", "w", ready, 4, 2, 0)}, "w"},
		{"what others gave counts", []candidate{worker("a", "v", ready, 4, 3, 0), worker("a", "w", ready, 4, 0, 1)}, "w"},
		{"the larger of two idle ones", []candidate{worker("a", "v", ready, 2, 0, 0), worker("a", "w", ready, 4, 0, 0)}, "w"},
		{"the nearer of two alike", []candidate{worker("a", "v", ready, 4, 0, 0), worker("localhost", "w", ready, 4, 0, 0)}, "w"},
		{"by name, in any order", []candidate{worker("b", "x", ready, 4, 0, 0), worker("a", "w", ready, 4, 0, 0)}, "w"},
		{"one that tells no slots has one", []candidate{worker("a", "v", ready, 0, 1, 0), worker("a", "w", ready, 2, 1, 0)}, "w"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := choose(tt.all, "m"); got.ID != tt.want || ok != (tt.want != "") {
				t.Errorf("chosen is %q, want %q", got.ID, tt.want)
			}
		})
	}
	if got, ok := choose([]candidate{other}, ""); !ok || got.ID != "other" {
		t.Errorf("for any model the choice is %q", got.ID)
	}
}

func TestRequestsThatComeTogetherAreSpread(t *testing.T) {
	var g given
	workers := []ops.Worker{
		{HiveID: "a", ID: "v", Model: "m", State: ops.WorkerReady, Slots: 2},
		{HiveID: "b", ID: "w", Model: "m", State: ops.WorkerReady, Slots: 2},
	}
	count := map[string]int{}
	for range 4 {
		w, _ := g.pick(workers, "m", nil)
		count[w.ID]++
	}
	if count["v"] != 2 || count["w"] != 2 {
		t.Errorf("given %v", count)
	}
	g.take(key{"b", "w"})
	if w, _ := g.pick(workers, "m", nil); w.ID != "w" {
		t.Errorf("with one finished, %s is chosen", w.ID)
	}
	if w, _ := g.pick(workers, "m", map[key]bool{{"a", "v"}: true}); w.ID != "w" {
		t.Errorf("without v, %s is chosen", w.ID)
	}
}
