package fit_test

import (
	"os"
	"path/filepath"
	"testing"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/fit"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
)

func project(t testing.TB, data []byte) *fit.Projector {
	t.Helper()
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	p := fit.ReadProjector(f, int64(len(data)))
	return &p
}

func TestAProjectorCountsWhereItIsLoaded(t *testing.T) {
	data := gguftest.Projector{Image: 336, Patch: 14, Width: 256, FFN: 1024, Heads: 16}.Bytes()
	m := read(t, described["llama 3 8B"].bytes())
	blind := m.Need(m.LlamaCpp(inference.Spec{}))
	m.Projector = project(t, data)
	need := m.Need(m.LlamaCpp(inference.Spec{}))
	if got := need.Weights - blind.Weights; got != uint64(len(data)) {
		t.Errorf("its weights count as %d bytes of %d", got, len(data))
	}
	// 577 squares of at least its inner width, and the image in floats.
	if got := need.Compute - blind.Compute; got < 577*1024*4+336*336*3*4 || got > 64*mebi {
		t.Errorf("an image takes %d bytes", got)
	}
	scores := m.Need(m.LlamaCpp(inference.Spec{Flags: []string{"flash-attn=off"}})).Compute
	if least := need.Compute + 577*577*16*4; scores < least {
		t.Errorf("without flash attention it takes %d bytes, want %d at least", scores, least)
	}
	for name, run := range map[string]fit.Run{
		"one that is told not to": m.LlamaCpp(inference.Spec{Flags: []string{"--no-mmproj"}}),
		"one that cannot":         m.Builtin(inference.Spec{}),
	} {
		m := m
		with := m.Need(run)
		if m.Projector = nil; m.Need(run) != with {
			t.Errorf("%s loads it", name)
		}
	}
}

func TestImagesOfAnySizeCountAtTheirLargest(t *testing.T) {
	data := gguftest.Changed(gguftest.Projector{Patch: 16}.Bytes(), map[string]any{"clip.projector_type": "qwen2vl_merger"})
	m := read(t, described["llama 3 8B"].bytes())
	blind := m.Need(m.LlamaCpp(inference.Spec{})).Compute
	m.Projector = project(t, data)
	// 4096 tokens of four squares each.
	if got := m.Need(m.LlamaCpp(inference.Spec{})).Compute - blind; got < 4*4096*(6*64*4+16*16*3*4) {
		t.Errorf("an image takes %d bytes", got)
	}
}

// TestLlamaCppTakesForAProjectorWhatIsEstimated holds the estimate against what
// llama-server says that one will take at the most.
func TestLlamaCppTakesForAProjectorWhatIsEstimated(t *testing.T) {
	program := llamacpptest.Program(t)
	for name, p := range map[string]gguftest.Projector{
		"a small one": {}, "one of many squares": {Image: 448, Patch: 14, Width: 256, FFN: 1024, Heads: 8},
	} {
		t.Run(name, func(t *testing.T) {
			path, data := filepath.Join(t.TempDir(), "mmproj.gguf"), p.Bytes()
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			file := gguftest.Model{Type: gguf.Q8_0}.Bytes()
			taken := measure(t, program, file, []string{"--mmproj", path}).projector
			m := read(t, file)
			blind := m.Need(m.LlamaCpp(inference.Spec{})).Total()
			m.Projector = project(t, data)
			got := m.Need(m.LlamaCpp(inference.Spec{})).Total() - blind
			t.Logf("%d bytes are estimated; it takes %d", got, taken)
			if taken == 0 || got < taken || got > 4*taken+4<<20 {
				t.Errorf("%d bytes are estimated; it takes %d", got, taken)
			}
		})
	}
}
