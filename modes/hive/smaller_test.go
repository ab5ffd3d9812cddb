package hive

import (
	"fmt"
	"strings"
	"testing"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/ops"
)

func TestTheHintFitsWhenItIsTyped(t *testing.T) {
	var free uint64
	h := roomy(t, &free)
	w, _ := h.bee(t, llamaCpp, auto)
	w.context, w.parallel = 1<<20, 64
	w.flags = []string{"cache-type-k=q8_0", "cache-type-v=q8_0", "override-kv=a name"}
	m := h.models.shape("bee")
	free = m.Need(w.run(m)).Total() / 2
	_, err := h.makeRoom(t.Context(), w)
	wantCode(t, err, ops.CodeUnavailable, "`rbee worker spawn bee --hive localhost --flag cache-type-k=q8_0 --flag cache-type-v=q8_0 --flag 'override-kv=a name' --parallel 64 --context-length ")
	if _, err := fmt.Sscanf(ops.AsError(err).Hint[strings.Index(ops.AsError(err).Hint, "--parallel"):], "--parallel 64 --context-length %d", &w.context); err != nil {
		t.Fatal(err)
	}
	if _, err := h.makeRoom(t.Context(), w); err != nil {
		t.Errorf("%d tokens, which the hint said: %v", w.context, err)
	}
	w.context += w.context / 40
	if _, err := h.makeRoom(t.Context(), w); err == nil {
		t.Errorf("%d tokens fit, which is more than the hint said", w.context)
	}
}

func TestTheHintStillFitsWhereALittleMemoryIsGoneMeanwhile(t *testing.T) {
	var free uint64
	h := roomy(t, &free)
	w, takes := h.bee(t, llamaCpp, processor)
	free = 8 * takes
	h.idling(t, w) // what would have to be unloaded is held to a margin of its own
	m := h.models.shape("bee")
	w.context, w.parallel = 1<<20, 8
	free = m.Need(w.run(m)).Total() / 2
	_, err := h.makeRoom(t.Context(), w)
	hint := ops.AsError(err).Hint
	if _, err := fmt.Sscanf(hint[strings.Index(hint, "--parallel"):], "--parallel 8 --context-length %d", &w.context); err != nil {
		t.Fatal(hint, err)
	}
	w.wouldFit = true
	free -= free / 100
	if _, err := h.makeRoom(t.Context(), w); err != nil {
		t.Errorf("%d tokens, which the hint said: %v", w.context, err)
	}
}

func TestTheQuantisationHintTellsWhatItIsGoodFor(t *testing.T) {
	const gib = 1 << 30
	var free uint64
	h := roomy(t, &free)
	w, _ := h.bee(t, builtin, processor)
	w.anyDevice = true
	shape := h.models.shape("bee")
	shape.Weights, w.model.Size, w.model.Parameters = 40*gib, 40*gib, 10*gib // as in F32
	rest := shape.Need(w.run(shape)).Total() - shape.Weights
	short := shape.Need(shape.Builtin(inference.Spec{ContextLength: 1024, Parallel: 1})).Total() - shape.Weights
	for _, c := range []struct {
		name, source string
		free         uint64
		want         string
	}{
		{"the best that does as it was asked for", "", 20*gib + rest, "in F16, about 20 GiB of weights, it would fit"},
		{"a lesser one", "", 20*gib + rest - 1, "in Q8_0, about 11 GiB of weights, it would fit"},
		{"from its repository", "hf:org/bee-GGUF:bee-F32.gguf", 20*gib + rest, "in F16, about 20 GiB of weights, it would fit: `rbee model download hf:org/bee-GGUF:F16`"},
		{"with less of a text", "", 34*gib/8 + short, "in Q2_K, about 4.3 GiB of weights, it would fit with `--parallel 1 --context-length 1024`"},
		{"none", "", gib, "take a smaller model"},
	} {
		w.model.Source = c.source
		if got := h.wouldFit(w, w.run(shape), shape, c.free); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestALesserShareOfADividedModelIsHintedAt(t *testing.T) {
	var free uint64
	h := roomy(t, &free)
	w, _ := h.bee(t, llamaCpp, auto)
	w.anyEngine, w.parts, w.stays, w.context, w.parallel = false, []string{"far"}, 0.9, 256, 1
	shape := h.models.shape("bee")
	shape.Share = 0.5
	free = leaving(promising(shape.Need(w.run(shape)).Total()))
	_, err := h.roomOnly(t.Context(), w)
	wantCode(t, err, ops.CodeUnavailable, "the part of bee that hive localhost is to hold", "`rbee worker spawn bee --hives localhost,far --share 0.5 --parallel 1 --context-length 256` fits here")
}

func TestAnotherQuantisationThatIsThereIsHintedAt(t *testing.T) {
	var free uint64
	h := roomy(t, &free)
	h.Name = "gpu1"
	h.models.put(t, "bee-small/model.gguf", gguftest.Model{Type: gguf.Q4_K, Layers: 4, Width: 512, Heads: 8, KVHeads: 8, FFN: 2048, Context: 8192}.Bytes())
	if _, err := h.models.get("bee-small"); err != nil {
		t.Fatal(err)
	}
	w, _ := h.bee(t, builtin, processor)
	w.context, w.parallel, w.anyEngine = 256, 1, false
	small := h.models.shape("bee-small")
	free = leaving(promising(small.Need(small.Builtin(inference.Spec{ContextLength: 256, Parallel: 1})).Total()))
	_, err := h.makeRoom(t.Context(), w)
	wantCode(t, err, ops.CodeUnavailable, "`rbee worker spawn bee-small --hive gpu1 --engine builtin", "the same in Q4_K")
}
