package ops

import (
	"os/exec"
	"testing"
)

func TestAShellReadsOneWordAsItWas(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell")
	}
	for _, s := range []string{
		"", "x.gguf", "hf:bees/tiny:tiny-Q8_0.gguf", "https://host/x.gguf?x=1&y=2", "https://host/$(id)`id`/a'b\"c\\d", "/models/my best.gguf", "~/x", "#x", "!x", "a;b|c>d*",
	} {
		out, err := exec.Command(shell, "-c", "printf %s. "+ShellWord(s)).Output() //nolint:gosec // it is what is tried
		if err != nil || string(out) != s+"." {
			t.Errorf("of %q a shell makes %q, %v", s, out, err)
		}
	}
	if got := ShellWord("https://host:80/x-1.gguf"); got != "https://host:80/x-1.gguf" {
		t.Errorf("a plain URL is given as %s", got)
	}
}
