package keeper

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/modes/home"
)

// helpful is a llama-server at path whose --help is text.
func helpful(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+text+"'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOnlyTheFlagsThatThisLlamaServerKnowsAreListed(t *testing.T) {
	h := home.Home{Cache: t.TempDir()}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	list := func(env string) string {
		t.Helper()
		t.Setenv(llamacpp.PathEnv, env)
		var out, said strings.Builder
		k := &Keeper{Home: h, Stdout: &out, Stderr: &said}
		if err := (EngineFlags{}).Run(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		if (said.Len() > 0) != strings.Contains(out.String(), "mlock") {
			t.Errorf("it says %q", said.String())
		}
		return out.String()
	}
	if got := list(llamacpp.None); !strings.Contains(got, "\nmlock\nmmap\n") {
		t.Errorf("where there is none it lists %s", got)
	}
	helpful(t, filepath.Join(h.Engines(), "b6000-cpu", "llama-b6000", llamacpp.Name), "--poll N                       how much to poll\n--seed N                       where chance begins\n--warp N                       speed")
	if got := list(""); got != "poll=N  how much to poll\nseed=N  where chance begins\n" {
		t.Errorf("with one that was installed: %q", got)
	}
	other := helpful(t, filepath.Join(t.TempDir(), llamacpp.Name), "--perf                         keeps times")
	if got := list(other); got != "perf  keeps times\n" {
		t.Errorf("with one that is named: %q", got)
	}
}

func TestWhatIsSaidOfAFlagStaysInItsColumn(t *testing.T) {
	words := map[string]llamacpp.Words{"a": {Value: "N", Text: "it does one thing and then another and another"}, "much-longer": {Text: "short"}, "none": {}, "of": {Value: "[one|another|a third one|a fourth one]", Text: "choose"}}
	for _, c := range []struct {
		columns int
		want    string
	}{
		{0, "a=N          it does one thing and then another and another\nmuch-longer  short\nnone\nof=[one|another|a third one|a fourth one]\n             choose\n"},
		{40, "a=N          it does one thing and then\n             another and another\nmuch-longer  short\nnone\nof=[one|another|a third one|a fourth one]\n             choose\n"},
		{20, "a=N          it does one thing and then another and another\nmuch-longer  short\nnone\nof=[one|another|a third one|a fourth one]\n             choose\n"},
	} {
		var out strings.Builder
		if err := flagTable(&out, []string{"a", "much-longer", "none", "of"}, words, c.columns); err != nil {
			t.Fatal(err)
		}
		if out.String() != c.want {
			t.Errorf("in %d columns:\n%s", c.columns, out.String())
		}
	}
}
