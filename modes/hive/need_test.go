package hive

import (
	"context"
	"testing"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

func TestAFilesBeginningTellsTheSameNeedAsTheFile(t *testing.T) {
	m := newModels(t)
	m.put(t, "bee/bee.gguf", testdata.Tinybee())
	bee, err := m.get("bee")
	if err != nil {
		t.Fatal(err)
	}
	for _, length := range []int{len(testdata.Tinybee()), min(len(testdata.Tinybee()), fetch.SampleSize), 1000} {
		need, ok := m.needBy(testdata.Tinybee()[:length], bee.Size)
		if !ok || need != uint64(bee.Memory) { //nolint:gosec // not negative
			t.Errorf("by %d bytes it takes %d, %t; by the file it takes %d", length, need, ok, bee.Memory)
		}
	}
	for _, length := range []int{0, 3, 30} {
		if need, ok := m.needBy(testdata.Tinybee()[:length], bee.Size); ok {
			t.Errorf("by %d bytes it takes %d", length, need)
		}
	}
}

func TestTheRoomForAModelIsTheMachinesAndItsCards(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		name    string
		engine  string
		devices []ops.Device
		want    uint64
	}{
		{"no card", llamaCpp, nil, 15 * gib},
		{"two cards", llamaCpp, []ops.Device{{ID: "cuda:0", Kind: "cuda", MemoryBytes: 24 * gib}, {ID: "cuda:1", Kind: "cuda", MemoryBytes: 8 * gib}}, (15 + 23 + 7) * gib},
		{"a card that shares the machine's", llamaCpp, []ops.Device{{ID: "metal:0", Kind: "metal", MemoryBytes: 16 * gib, SharesMemory: true}}, 15 * gib},
		{"an engine that computes on the CPU", builtin, []ops.Device{{ID: "cuda:0", Kind: "cuda", MemoryBytes: 24 * gib}}, 15 * gib},
	} {
		h := &Hive{Options: Options{Memory: func(context.Context) (uint64, uint64) { return 16 * gib, gib }}}
		h.machine.devices = c.devices
		if got := h.roomiestFor(t.Context(), c.engine); got != c.want {
			t.Errorf("%s: %d GiB", c.name, got/gib)
		}
	}
}
