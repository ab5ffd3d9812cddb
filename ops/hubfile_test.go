package ops

import "testing"

func TestQuantisationsAndPartsAreReadFromNames(t *testing.T) {
	for file, want := range map[string]struct {
		name, quant string
		part, parts int
	}{
		"Qwen3-0.6B-Q8_0.gguf":                  {"Qwen3-0.6B-Q8_0", "Q8_0", 0, 0},
		"model.q4_k_m.GGUF":                     {"model.q4_k_m", "Q4_K_M", 0, 0},
		"Llama-3-UD-Q4_K_XL.gguf":               {"Llama-3-UD-Q4_K_XL", "UD-Q4_K_XL", 0, 0},
		"gpt-oss-20b-mxfp4.gguf":                {"gpt-oss-20b-mxfp4", "MXFP4", 0, 0},
		"BF16/big-BF16-00002-of-00003.gguf":     {"BF16/big-BF16", "BF16", 2, 3},
		"IQ2_XXS/x-IQ2_XXS-00001-of-00001.gguf": {"IQ2_XXS/x-IQ2_XXS", "IQ2_XXS", 1, 1},
		"story.gguf":                            {"story", "", 0, 0},
	} {
		name, part, parts := SplitName(file)
		if name != want.name || part != want.part || parts != want.parts || QuantizationOf(file) != want.quant {
			t.Errorf("%s is %q, %d of %d, %q", file, name, part, parts, QuantizationOf(file))
		}
	}
}

func TestASourceMeansTheModelsThatCameFromIt(t *testing.T) {
	hub := Model{Source: "hf:bees/tiny:Tiny-Q5_K_M.gguf", Quantization: "Q5_1"} // as rows that do not divide by 256 are stored
	parts := Model{Source: "hf:bees/tiny:Q8_0/tiny-Q8_0-00001-of-00003.gguf", Quantization: "Q8_0"}
	plain := Model{Source: "hf:bees/tiny:story.gguf", Quantization: "Q8_0"}
	for _, tt := range []struct {
		m      Model
		source string
		want   bool
	}{
		{hub, "hf:bees/tiny:Tiny-Q5_K_M.gguf", true},
		{hub, "hf:bees/tiny:tiny-q5_k_m.gguf", true},
		{hub, "hf:bees/tiny:Tiny-Q5_K_M", true},
		{hub, "hf:bees/tiny", true},
		{hub, "hf:bees/tiny:q5_k_m", true},
		{hub, "hf:bees/tiny:Q5_1", false}, // which the repository does not have
		{hub, "hf:bees/tiny:K_M", false},
		{hub, "hf:bees/tiny:Q4_K_M", false},
		{hub, "hf:bees/tin", false},
		{hub, "hf:bees/tiny:other.gguf", false},
		{hub, "", false},
		{parts, "hf:bees/tiny:Q8_0", true},
		{parts, "hf:bees/tiny:tiny-Q8_0", true},
		{parts, "hf:bees/tiny:tiny-Q8_0.gguf", true},
		{parts, "hf:bees/tiny:tiny-Q8_0-00002-of-00003.gguf", true},
		{parts, "hf:bees/tiny:Q8_0/tiny-Q8_0-00001-of-00003.gguf", true},
		{parts, "hf:bees/tiny:Q4_0", false},
		{plain, "hf:bees/tiny:Q8_0", true},
		{plain, "hf:bees/tiny:Q4_0", false},
		{Model{}, "", false},
		{Model{Source: BuiltInSource}, "hf:bees/tiny", false},
		{Model{Source: "/home/a/tiny.gguf"}, "hf:bees/tiny", false},
		{Model{Source: "https://h/x.gguf"}, "https://h/x.gguf", true},
		{Model{Source: "https://h/x.gguf"}, "https://h/y.gguf", false},
	} {
		if got := tt.m.ComesFrom(tt.source); got != tt.want {
			t.Errorf("%q means %q: %t", tt.source, tt.m.Source, got)
		}
	}
}
