package command

import (
	"slices"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestALineIsDividedAsShellsDo(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string
	}{
		{"", nil},
		{"  vllm\tserve  {model}\n", []string{"vllm", "serve", "{model}"}},
		{`a "b c" 'd "e"' f\ g`, []string{"a", "b c", `d "e"`, "f g"}},
		{`--json '{"a": 1}' "" x''y`, []string{"--json", `{"a": 1}`, "", "xy"}},
		{`'a\b' "c\"d" $HOME *; | >x`, []string{`a\b`, `c"d`, "$HOME", "*;", "|", ">x"}},
	} {
		if got, err := split(c.line); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q is %q, %v, want %q", c.line, got, err, c.want)
		}
	}
}

func TestALineThatCannotBeUsedIsRefused(t *testing.T) {
	for line, says := range map[string]string{
		"":                        "needs a command line",
		`"" {socket}`:             "needs a command line",
		`x "{socket}`:             "ends in the middle of a quotation",
		`x {socket} \`:            "ends in the middle of a quotation",
		"x":                       "either {socket} or {port}",
		"x {socket} {port}":       "by {socket} or by {port}, not both",
		"x {socket} --m {modell}": "{modell} stands for nothing",
	} {
		if _, err := Parse(line); ops.CodeOf(err) != ops.CodeInvalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want %q", line, err, says)
		}
	}
}

func TestValuesArePutInPlaceAndNotReadAgain(t *testing.T) {
	tmpl, err := Parse(`x --uds={socket} '{"keep": "{name}"}' {model}`)
	if err != nil {
		t.Fatal(err)
	}
	got := tmpl.fill(map[string]string{"socket": "/s", "name": "{model}", "model": "/a b; $(rm)"})
	want := []string{"x", "--uds=/s", `{"keep": "{model}"}`, "/a b; $(rm)"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzParse holds that a template has as many words when it is filled, and that
// nothing in braces that is known is left.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"vllm serve {model} --uds {socket}", `a "b {port}" c\ d`, "{{socket}}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		tmpl, err := Parse(line)
		if err != nil {
			return
		}
		values := map[string]string{}
		for _, name := range known {
			values[name] = "V A L"
		}
		filled := tmpl.fill(values)
		if len(filled) != len(tmpl.words) || !strings.Contains(strings.Join(filled, "\n"), "V A L") {
			t.Errorf("%q becomes %q", line, filled)
		}
	})
}

func TestADeviceIsTheOnlyOneThatTheProgramSees(t *testing.T) {
	for _, c := range []struct{ before, device, want string }{
		{"", "", ""},
		{"", "auto", ""},
		{"", "cpu", "CUDA_VISIBLE_DEVICES= HIP_VISIBLE_DEVICES="},
		{"", "cuda:1", "CUDA_VISIBLE_DEVICES=1 CUDA_DEVICE_ORDER=PCI_BUS_ID"},
		{"", "cuda:0,cuda:2", "CUDA_VISIBLE_DEVICES=0,2 CUDA_DEVICE_ORDER=PCI_BUS_ID"},
		{"CUDA_DEVICE_ORDER=FASTEST_FIRST", "cuda:1", "CUDA_DEVICE_ORDER=FASTEST_FIRST CUDA_VISIBLE_DEVICES=1"},
		{"CUDA_VISIBLE_DEVICES=3,GPU-8f5a", "cuda:1", "CUDA_VISIBLE_DEVICES=3,GPU-8f5a CUDA_VISIBLE_DEVICES=GPU-8f5a CUDA_DEVICE_ORDER=PCI_BUS_ID"},
		{"", "rocm:0", "HIP_VISIBLE_DEVICES=0"},
		{"HIP_VISIBLE_DEVICES=1", "rocm:0", "HIP_VISIBLE_DEVICES=1 HIP_VISIBLE_DEVICES=1"},
	} {
		if got := strings.Join(environment(strings.Fields(c.before), c.device), " "); got != c.want {
			t.Errorf("for %q: %q, want %q", c.device, got, c.want)
		}
	}
}
