package hive

import (
	"context"
	"strings"
	"testing"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/inference/llamacpp"
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

func TestTheRoomForAModelIsTheMachinesAndThatOfCardsThatTheEngineUses(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		name   string
		usable string // by llama-server, or none for no such program
		cards  []int  // MiB free
		want   uint64
		unused string
	}{
		{"no card", "CUDA0", nil, 60 * gib, ""},
		{"two cards", "CUDA0", []int{1, 2}, 60*gib + 2*(24564<<20-gib), ""},
		{"a llama-server that is for the CPU", "", []int{1}, 60 * gib, "cuda:0 (NVIDIA GeForce RTX 4090) is not used: the llama-server that is installed is for cpu"},
		{"another card's", "ROCm0", []int{1, 2}, 60 * gib, "cuda:0 (NVIDIA GeForce RTX 4090), cuda:1 (NVIDIA GeForce RTX 4090) are not used: the llama-server that is installed is for rocm"},
		{"the builtin engine", "none", []int{1}, 60 * gib, "cuda:0 (NVIDIA GeForce RTX 4090) is not used: the builtin engine computes on the CPU"},
	} {
		t.Run(c.name, func(t *testing.T) {
			free := uint64(gib)
			h := roomy(t, &free)
			cards(t, h, c.usable, c.cards...)
			if c.usable == "none" {
				t.Setenv(llamacpp.PathEnv, llamacpp.None)
			}
			if got, unused := h.roomiest(t.Context()); got != c.want || unused != c.unused {
				t.Errorf("%d MiB, %q", got>>20, unused)
			}
		})
	}
	h := &Hive{Options: Options{Memory: func(context.Context) (uint64, uint64) { return 16 * gib, gib }}}
	h.machine.devices = []ops.Device{{ID: "metal:0", Kind: "metal", MemoryBytes: 16 * gib, SharesMemory: true}}
	t.Setenv(llamacpp.PathEnv, llamacpp.None)
	if got, unused := h.roomiest(t.Context()); got != 15*gib || unused != "" {
		t.Errorf("with a card that shares the machine's memory: %d GiB, %q", got/gib, unused)
	}
}

func TestARefusalTellsOfACardThatIsNotUsed(t *testing.T) {
	free := uint64(1 << 20)
	h := roomy(t, &free)
	cards(t, h, "", 20000)
	w, _ := h.bee(t, llamaCpp, auto)
	_, err := h.makeRoom(t.Context(), w)
	wantCode(t, err, ops.CodeUnavailable, "; cuda:0 (NVIDIA GeForce RTX 4090) is not used: the llama-server that is installed is for cpu", "; `rbee engine install` brings llama.cpp for the card")
	w.device, w.anyDevice = processor, false
	if _, err = h.makeRoom(t.Context(), w); err == nil || strings.Contains(err.Error(), "not used") {
		t.Errorf("who asks for the CPU hears %v", err)
	}
}
