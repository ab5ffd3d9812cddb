package hive

import (
	"context"
	"testing"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/gguf/gguftest"
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
		need, ok := m.needBy(fetch.Beginning{Head: testdata.Tinybee()[:length], Size: bee.Size}, fetch.Beginning{})
		if !ok || need != uint64(bee.Memory) { //nolint:gosec // not negative
			t.Errorf("by %d bytes it takes %d, %t; by the file it takes %d", length, need, ok, bee.Memory)
		}
	}
	for _, length := range []int{0, 3, 30} {
		if need, ok := m.needBy(fetch.Beginning{Head: testdata.Tinybee()[:length], Size: bee.Size}, fetch.Beginning{}); ok {
			t.Errorf("by %d bytes it takes %d", length, need)
		}
	}
}

func TestTheProjectorThatComesWithAModelCountsInItsChoice(t *testing.T) {
	m := newModels(t)
	eye := gguftest.Projector{Width: 128}.Bytes()
	m.put(t, "bee/bee.gguf", testdata.Tinybee())
	m.put(t, "bee/mmproj-bee-F16.gguf", eye)
	if _, err := m.get("bee"); err != nil {
		t.Fatal(err)
	}
	shape, model := m.shape("bee"), fetch.Beginning{Head: testdata.Tinybee(), Size: int64(len(testdata.Tinybee()))}
	for _, engine := range []string{llamaCpp, builtin} {
		m.usual = func() string { return engine }
		want := shape.Need(runOf(engine, shape, inference.Spec{})).Total()
		if need, ok := m.needBy(model, fetch.Beginning{Head: eye, Size: int64(len(eye))}); !ok || need != want {
			t.Errorf("%s: by their beginnings they take %d, by their files %d", engine, need, want)
		}
	}
	m.usual = func() string { return llamaCpp }
	alone, _ := m.needBy(model, fetch.Beginning{})
	if need, ok := m.needBy(model, fetch.Beginning{Size: 1 << 30}); !ok || need != alone+1<<30 {
		t.Errorf("with one of which only the size is known it takes %d, without %d", need, alone)
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
