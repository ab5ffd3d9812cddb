package llamacpp

import (
	"strings"
	"testing"

	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
)

// TestEveryFlagOfTheRealProgramIsAllowedOrRefused: one that is new in it is to be
// put on one of the lists.
func TestEveryFlagOfTheRealProgramIsAllowedOrRefused(t *testing.T) {
	help, err := output(t.Context(), llamacpptest.Program(t), "--help")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(help) {
		line = strings.TrimRight(line, "\n")
		if !strings.HasPrefix(line, "-") || strings.HasPrefix(line, "-----") {
			continue
		}
		m := helpLine.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("the line %q is of no known form", line)
			continue
		}
		for _, name := range comma.Split(m[1], -1) {
			seen++
			kind, passed := allowed[name]
			if _, not := refused[name]; passed == not {
				t.Errorf("%s is neither on the list of those that are passed on nor refused with a reason", name)
			}
			if passed && (kind == nothing) == (m[2] != "") {
				t.Errorf("%s is followed by %q, and is listed as %d", name, m[2], kind)
			}
		}
	}
	if seen < 300 {
		t.Errorf("only %d flags were found in its help", seen)
	}
}

func TestTheRealProgramSaysWhatItsFlagsAreFor(t *testing.T) {
	words, err := AskFlags(t.Context(), llamacpptest.Program(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Flags() {
		if strings.Contains(words[name].Text, "(env: ") || len(words[name].Text) > 200 {
			t.Errorf("of %s it says %q", name, words[name].Text)
		}
	}
	if w := words["chat-template"]; w.Value != "NAME" {
		t.Errorf("of the chat template it wants %q, of which only a name is passed on", w.Value)
	}
	if _, old := words["mlock"]; old {
		t.Errorf("it tells of --mlock, which it does not know any more: %+v", words["mlock"])
	}
	if len(words) < len(Flags())*9/10 || words["batch-size"].Value != "N" || !strings.HasPrefix(words["batch-size"].Text, "logical maximum batch size") {
		t.Errorf("it tells of %d of %d: %q", len(words), len(Flags()), words["batch-size"])
	}
}

func TestAHelpIsTakenApart(t *testing.T) {
	const help = `----- common params -----

-h,    --help                           print usage
-ctk,  --cache-type-k TYPE              KV cache data type for K
                                        allowed values: f32, f16
                                        (env: LLAMA_ARG_CACHE_TYPE_K)
--sampler-seq, --sampling-seq SEQUENCE
                                        simplified sequence [(more
                                        info)](https://example.org/x)
--perf, --no-perf                       timings

----- other params -----

--bare
`
	got := readHelp(help)
	for name, want := range map[string]Words{
		"cache-type-k": {"TYPE", "KV cache data type for K allowed values: f32, f16"},
		"sampler-seq":  {"SEQUENCE", "simplified sequence"},
		"sampling-seq": {"SEQUENCE", "simplified sequence"},
		"no-perf":      {"", "timings"},
		"bare":         {},
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
}
