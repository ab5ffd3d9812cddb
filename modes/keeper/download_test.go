package keeper

import (
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestASourceIsTakenAsAPersonGivesIt(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	for given, want := range map[string]string{
		"":                         "",
		"x.gguf":                   filepath.Join(here, "x.gguf"),
		"../x.gguf":                filepath.Join(filepath.Dir(here), "x.gguf"),
		"/models/x.gguf":           "/models/x.gguf",
		"hf:org/repo":              "hf:org/repo",
		"HTTP://Host/A.gguf":       "http://Host/A.gguf",
		"https://host/x?u=http://": "https://host/x?u=http://",
	} {
		if got, err := Source(given); err != nil || got != want {
			t.Errorf("%q is %q, %v, and not %q", given, got, err, want)
		}
	}
}

func TestAMissingFileIsNotTakenForARepository(t *testing.T) {
	t.Chdir(t.TempDir())
	for given, hint := range map[string]string{
		"Qwen/Qwen3-0.6B-GGUF":      "is given as hf:Qwen/Qwen3-0.6B-GGUF",
		"Qwen/Qwen3-0.6B-GGUF:Q8_0": "is given as hf:Qwen/Qwen3-0.6B-GGUF:Q8_0",
		"home/x.gguf":               "is the path right?",
		"home/x.GGUF":               "is the path right?",
		"x.gguf":                    "is the path right?",
	} {
		path, err := Source(given)
		if err != nil {
			t.Fatal(err)
		}
		if e := ops.AsError((&Keeper{}).missingFile(path, "")); e == nil || e.Code != ops.CodeNotFound || !strings.Contains(e.Hint, hint) {
			t.Errorf("%s: %v, want the hint %q", given, e, hint)
		}
	}
}
