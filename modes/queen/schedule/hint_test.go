package schedule

import (
	"testing"
	"testing/synctest"

	"rbee.dev/rbee/ops"
)

func TestTheHintNamesModelsThatCanBeUnpinned(t *testing.T) {
	for want, pinned := range map[string][]string{
		"`rbee model unpin ant --hive a` lets it be unloaded again":                        {"ant"},
		"`rbee model unpin ant --hive a` lets it be unloaded again, and so for the others": {"ant", "wasp"},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDepot(t, Options{})
			defer d.Close()
			models := []ops.Model{{ID: "bee", Size: 4 << 30}}
			for _, name := range pinned {
				models = append(models, ops.Model{ID: name, Size: 7 << 30 / int64(len(pinned)), Pinned: true})
			}
			d.add("a", 8<<30, models...)
			for _, name := range pinned {
				d.run("a", "w-"+name, name, 4)
			}
			if _, err := d.Acquire(t.Context(), Request{Model: "bee", Hive: "a"}); err == nil || ops.AsError(err).Hint != want {
				t.Errorf("%+v, want %q", ops.AsError(err), want)
			}
		})
	}
}

// TestAnUnknownModelIsToldTheAliasesToo: those that are answered now.
func TestAnUnknownModelIsToldTheAliasesToo(t *testing.T) {
	aliases := func() map[string]string {
		return map[string]string{"fast": "bee", "gone": "ant", "far": "hf:t/x", "near": "hf:t/y", "bad": "wasp"}
	}
	for brings, there := range map[bool]string{false: "bee, fast, near", true: "bee, far, fast, near"} {
		d := newDepot(t, Options{Aliases: aliases, Brings: brings})
		t.Cleanup(d.Close)
		of := bee
		of.Source = "hf:t/y:bee-Q8_0.gguf"
		d.add("a", 8<<30, of, ops.Model{ID: "loose.gguf", Error: "it lies loose", Hint: "make a folder"}, ops.Model{ID: "wasp", Source: "hf:t/x:wasp.gguf", Error: "it is damaged", Hint: "download it again"})
		for model, want := range map[string]string{
			"elephant":   "there are: " + there + "; `rbee model download` brings others",
			"fasd":       `did you mean "fast"?`,
			"loose":      "make a folder",
			"bee:latest": `did you mean "bee"?`,
			"hf.co/t/x":  "a repository on Hugging Face is given as hf:t/x: `rbee model download` brings it",
		} {
			if _, err := d.Acquire(t.Context(), Request{Model: model}); ops.CodeOf(err) != ops.CodeNotFound || ops.AsError(err).Hint != want {
				t.Errorf("%s: %+v, want %q", model, ops.AsError(err), want)
			}
		}
	}
}
