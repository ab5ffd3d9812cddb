package modes

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestAWrongValueIsToldInPlainWords holds the wordings against the parser that
// they are of: a newer one that says it otherwise fails here.
func TestAWrongValueIsToldInPlainWords(t *testing.T) {
	for _, tt := range []struct {
		words []string
		want  string
	}{
		{[]string{"infer", "hi", "-n"}, `--max-tokens: a value must follow it`},
		{[]string{"infer", "hi", "--stop"}, `--stop: a value must follow it`},
		{[]string{"infer", "--model", "--raw", "hi"}, `--model: a value must follow it, and "--raw" looks like a flag (as a value it is given with =)`},
		{[]string{"infer", "-n", "x", "hi"}, `--max-tokens: must be a whole number, got "x"`},
		{[]string{"infer", "-n", "-1x", "hi"}, `--max-tokens: must be a whole number, got "-1x"`},
		{[]string{"infer", "-n", "99999999999999999999", "hi"}, `--max-tokens: is too large a number, got "99999999999999999999"`},
		{[]string{"infer", "--temperature", "warm", "hi"}, `--temperature: must be a number, got "warm"`},
		{[]string{"infer", "--raw=perhaps", "hi"}, `--raw: must be true, 1, yes, false, 0 or no, got "perhaps"`},
		{[]string{"infer", "-o", "xml", "hi"}, `--output: must be one of "text", "json" or "events", got "xml"`},
		{[]string{"job", "get"}, `<id>: must be given`},
		{[]string{"engine", "install", "../x"}, `<version>: must be a build as b11669, a version as v0.7.0, or latest, got "../x"`},
		{[]string{"job"}, `a command must follow: list, get, cancel, follow`},
		{[]string{"-q"}, `a command must follow: infer, chat, status, explain, queen, hive, worker, model, engine, job, key, usage`},
		{[]string{"hive", "serve", "--idle-timeout", "5"}, `--idle-timeout: must be a number and a unit as in 90s, 30m or 12h, got "5"`},
		{[]string{"hive", "serve", "--idle-timeout", "5y"}, `--idle-timeout: must be a number and a unit as in 90s, 30m or 12h, got "5y"`},
	} {
		_, _, err := parse(tt.words, io.Discard, io.Discard)
		if err == nil || err.Error() != tt.want {
			t.Errorf("rbee %q:\n got %v\nwant %s", tt.words, err, tt.want)
		}
		if code := report(err, io.Discard); code != exitUsage {
			t.Errorf("rbee %q exits with %d", tt.words, code)
		}
	}
}

func TestAWrongVariableIsNamed(t *testing.T) {
	t.Setenv("RBEE_QUEUE_DEPTH", "deep")
	t.Setenv("RBEE_IDLE_TIMEOUT", "5y")
	for words, want := range map[string]string{
		"queen": `--queue-depth: must be a whole number, got "deep" (from the variable RBEE_QUEUE_DEPTH)`,
		"hive":  `--idle-timeout: must be a number and a unit as in 90s, 30m or 12h, got "5y" (from the variable RBEE_IDLE_TIMEOUT)`,
	} {
		if _, _, err := parse([]string{words, "serve"}, io.Discard, io.Discard); err == nil || err.Error() != want {
			t.Errorf("%s serve:\n got %v\nwant %s", words, err, want)
		}
	}
}

func TestAVariableIsNamedWhoseValueACommandRefuses(t *testing.T) {
	t.Setenv("RBEE_HOME", t.TempDir())
	t.Setenv("RBEE_QUEEN", "nowhere")
	t.Setenv("RBEE_HOST_NAMES", "a.example,B")
	for want, words := range map[string][]string{
		`rbee: --queen: must be HOST:PORT or a URL, got "nowhere" (from the variable RBEE_QUEEN)`:                   {"status"},
		`rbee: --queen: must be HOST:PORT or a URL, got "here"` + "\n":                                              {"status", "--queen", "here"},
		`rbee: --host-name: must be a name in lower case without port, got "B" (from the variable RBEE_HOST_NAMES)`: {"queen", "serve", "--check"},
		`rbee: --host-name: must be a name in lower case without port, got "C"` + "\n":                              {"queen", "serve", "--check", "--host-name", "C"},
		`rbee: --output: events are what infer and job follow have; this command prints text or json`:               {"status", "-o", "events"},
		`rbee: <id>: must be lower-case letters, digits, '.', '_' or '-', at most 63 and not beginning`:             {"worker", "get", "WXYZ"},
		`rbee: <hive>: must be lower-case letters, digits, '.', '_' or '-', at most 63 and not beginning`:           {"hive", "status", "LOCALHOST"},
		`rbee: --system: needs the model's chat template, which --raw leaves out`:                                   {"infer", "--raw", "--system", "x", "hi"},
	} {
		var said strings.Builder
		if code := Main(append([]string{"rbee"}, words...), strings.NewReader(""), io.Discard, &said); code != exitUsage || !strings.HasPrefix(said.String(), want) {
			t.Errorf("rbee %q exits with %d and says\n     %s\nwant %s", words, code, said.String(), want)
		}
	}
}

// TestAnEmptyVariableIsAsOneThatIsNotSet, also where nothing is no value.
func TestAnEmptyVariableIsAsOneThatIsNotSet(t *testing.T) {
	var names []string
	for _, f := range commands(t)["queen_serve"].Flags {
		names = append(names, f.Envs...)
	}
	parsed := func() string {
		c, flags, err := parse([]string{"queen", "serve"}, io.Discard, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%+v, %+v", c.Selected().Target.Interface(), flags)
	}
	for _, name := range names {
		t.Setenv(name, "")
	}
	empty := parsed()
	for _, name := range names {
		_ = os.Unsetenv(name) // until Setenv puts it back
	}
	if unset := parsed(); empty != unset || len(names) < 12 {
		t.Errorf("with %d of them empty:\n got %s\nwant %s", len(names), empty, unset)
	}
}

func TestANumberBelowZeroIsAFlagsValue(t *testing.T) {
	for _, tt := range []struct{ words, want []string }{
		{[]string{"infer", "-n", "-1", "hi"}, []string{"infer", "-n-1", "hi"}},
		{[]string{"infer", "--top-p", "-.5", "-n", "2"}, []string{"infer", "--top-p=-.5", "-n", "2"}},
		{[]string{"usage", "--since", "-3d"}, []string{"usage", "--since=-3d"}},
		{[]string{"infer", "--seed=1", "-1"}, []string{"infer", "--seed=1", "-1"}},
		{[]string{"infer", "--", "-1"}, []string{"infer", "--", "-1"}},
		{[]string{"infer", "-n", "1", "--", "--x", "-1"}, []string{"infer", "-n", "1", "--", "--x", "-1"}},
		{[]string{"-1"}, []string{"-1"}},
		{[]string{"infer", "--model", "-", "--raw"}, []string{"infer", "--model", "-", "--raw"}},
	} {
		if got := joinNumbers(tt.words); !slices.Equal(got, tt.want) {
			t.Errorf("%q became %q, want %q", tt.words, got, tt.want)
		}
	}
}
