package modes_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
)

// TestLlamaCppFromEndToEnd is what a person types who has llama-server.
func TestLlamaCppFromEndToEnd(t *testing.T) {
	env := append(os.Environ(), "RBEE_HOME="+filepath.Join(t.TempDir(), "home"), "RBEE_LISTEN=127.0.0.1:0",
		llamacpp.PathEnv+"="+llamacpptest.Program(t))
	rbee := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), binary, args...)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	t.Cleanup(func() {
		stop := exec.Command(binary, "queen", "stop") //nolint:noctx // the test's context has ended
		stop.Env = env
		if out, err := stop.CombinedOutput(); err != nil {
			t.Errorf("queen stop: %v: %s", err, out)
		}
	})
	for _, c := range []struct {
		words string
		ok    bool
		says  string
	}{
		{"infer Once --max-tokens 4 --device cpu", true, "loads tinybee on llamacpp, cpu"}, // by itself
		{"worker spawn tinybee --worker llamacpp --device cpu --flag no-warmup --flag=--flash-attn=off", true, "llamacpp"},
		{"worker spawn tinybee --worker llamacpp --flag lora=/etc/passwd", false, "--lora is not passed on to llama-server: it opens a file"},
		{"worker spawn tinybee --engine command", false, "command: must be given for the engine called command"},
		{"worker list", true, "llamacpp"},
	} {
		out, err := rbee(strings.Fields(c.words)...)
		if (err == nil) != c.ok || !strings.Contains(out, c.says) {
			t.Errorf("rbee %s: %v, says %s", c.words, err, out)
		}
	}
}
