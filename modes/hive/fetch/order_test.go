package fetch_test

import (
	"strings"
	"testing"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

func TestWhereThereIsNoUsualQuantisationTheNearestIsTaken(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		name  string
		sizes map[string]int // in GiB
		want  string
		says  string
	}{
		{"it is there", map[string]int{"x-Q4_K_M": 6, "x-Q4_0": 5, "x-Q5_K_M": 7, "x-F16": 18}, "x-Q4_K_M", "the usual choice"},
		{"another of as many bits", map[string]int{"x-IQ4_XS": 4, "x-Q5_K_M": 7, "x-Q3_K_L": 4}, "x-IQ4_XS", "there is no Q4_K_M, and this has as many bits"},
		{"the next with more bits", map[string]int{"x-Q6_K": 8, "x-Q8_0": 10, "x-Q3_K_L": 4, "x-F16": 18}, "x-Q6_K", "there is no Q4_K_M, and this is the nearest with more bits"},
		{"one that is not in any list", map[string]int{"x-UD-Q5_K_XL": 8, "x-Q8_0": 10}, "x-UD-Q5_K_XL", "the nearest with more bits"},
		{"fewer bits before whole weights", map[string]int{"x-Q3_K_M": 5, "x-F16": 18}, "x-Q3_K_M", "there is nothing of 4 to 8 bits, and this is the best of those with fewer"},
		{"the most of the fewer", map[string]int{"x-Q2_K": 3, "x-IQ3_XXS": 4, "x-Q3_K_S": 5, "x-IQ1_M": 2}, "x-Q3_K_S", "the best of those with fewer"},
		{"the least before whole weights", map[string]int{"x-BF16": 18, "x-Q2_K": 3}, "x-Q2_K", "the best of those with fewer"},
		{"the smaller of whole weights", map[string]int{"x-BF16": 5, "x-F32": 10}, "x-BF16", "nothing there is quantised, and this is the smallest"},
		{"F16 beside F32", map[string]int{"x-F16": 5, "x-F32": 10}, "x-F16", "nothing there is quantised, and this is the smallest"},
		{"F16, which more machines are fast with", map[string]int{"x-F16": 5, "x-BF16": 5}, "x-F16", "nothing there is quantised"},
		{"one that tells nothing", map[string]int{"x": 5, "x-F16": 18}, "x", "there is no Q4_K_M, and its name tells nothing of its quantisation"},
		{"the only one", map[string]int{"x-F32": 10}, "x-F32", "the only one there"},
	} {
		files := map[string]int{}
		for name, size := range c.sizes {
			files[name+".gguf"] = size * gib
		}
		got, err := fetcherOf(t, hub(t, files).URL, "").Hub(t.Context(), "hf:bees/tiny-GGUF", fetch.Room{})
		if err != nil || got.Name != c.want || !strings.Contains(got.Why, c.says) {
			t.Errorf("%s: %s, because %q, %v", c.name, got.Name, got.Why, err)
		}
	}
}

func TestOfTwoModelsInOneRepositoryNobodyGuessesWhichIsMeant(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		name, ref string
		files     map[string]int
		says      string
	}{
		{
			"of one quantisation",
			"hf:bees/tiny-GGUF",
			map[string]int{"a-Q4_K_M.gguf": 1, "b-Q4_K_M.gguf": 2, "b-Q8_0.gguf": 3},
			"several files with Q4_K_M name one, as in hf:bees/tiny-GGUF:a-Q4_K_M.gguf; there are a-Q4_K_M.gguf, b-Q4_K_M.gguf",
		},
		{
			"the quantisation is named",
			"hf:bees/tiny-GGUF:q4_k_m",
			map[string]int{"a-Q4_K_M.gguf": 1, "b-Q4_K_M.gguf": 2},
			"several files with q4_k_m name one, as in hf:bees/tiny-GGUF:a-Q4_K_M.gguf",
		},
		{"of none", "hf:bees/tiny-GGUF", map[string]int{"a.gguf": 1, "b.gguf": 2}, "several files with no quantisation in their names name one, as in hf:bees/tiny-GGUF:a.gguf; there are a.gguf, b.gguf"},
	} {
		_, err := fetcherOf(t, hub(t, c.files).URL, "").Hub(t.Context(), c.ref, fetch.Room{Memory: 64 * gib})
		wantCode(t, err, ops.CodeInvalid)
		if e := ops.AsError(err); e == nil || !strings.Contains(e.Error()+" "+e.Hint, c.says) {
			t.Errorf("%s: %v (%s)", c.name, err, e.Hint)
		}
	}
	s := hub(t, map[string]int{"a-Q4_K_M.gguf": 1 * gib, "b-Q4_K_M.gguf": 20 * gib})
	got, err := fetcherOf(t, s.URL, "").Hub(t.Context(), "hf:bees/tiny-GGUF", fetch.Room{Memory: 4 * gib})
	if err != nil || got.Name != "a-Q4_K_M" {
		t.Errorf("where only one of them fits, it is %+v, %v", got, err)
	}
}

func TestAProjectorIsNoModel(t *testing.T) {
	for _, c := range []struct {
		name, ref string
		files     map[string]int
		says      string
	}{
		{
			"asked for by its file",
			"hf:bees/tiny-GGUF:mmproj-F16.gguf",
			map[string]int{"a-Q8_0.gguf": 1, "mmproj-F16.gguf": 1},
			"mmproj-F16.gguf in bees/tiny-GGUF is no model: it is a projector, by which a model takes images it comes with the repository's models: `rbee model download hf:bees/tiny-GGUF`",
		},
		{
			"alone",
			"hf:bees/tiny-GGUF",
			map[string]int{"mmproj-F16.gguf": 1},
			"bees/tiny-GGUF holds no model, only a projector, by which a model takes images: mmproj-F16.gguf look for the model's own repository",
		},
		{"alone, and asked for", "hf:bees/tiny-GGUF:mmproj-F16.gguf", map[string]int{"mmproj-F16.gguf": 1}, "holds no model, only a projector"},
		{"alone, where another file is asked for", "hf:bees/tiny-GGUF:Q8_0", map[string]int{"mmproj-F16.gguf": 1}, "holds no model, only a projector"},
		{
			"an importance matrix",
			"hf:bees/tiny-GGUF:a.imatrix.gguf",
			map[string]int{"a-Q8_0.gguf": 1, "a.imatrix.gguf": 1},
			"a.imatrix.gguf in bees/tiny-GGUF is no model: it is what models are quantised by",
		},
	} {
		_, err := fetcherOf(t, hub(t, c.files).URL, "").Hub(t.Context(), c.ref, fetch.Room{})
		wantCode(t, err, ops.CodeNotFound)
		if e := ops.AsError(err); e == nil || !strings.Contains(e.Error()+" "+e.Hint, c.says) {
			t.Errorf("%s: %v (%s)", c.name, err, e.Hint)
		}
	}
}
