package llamacpp

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/process"
)

// TestPromptsAreKeptInAsMuchMemoryAsIsGiven: by what the program says of itself.
func TestPromptsAreKeptInAsMuchMemoryAsIsGiven(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes int64
		flags []string
		says  string
	}{
		{"its own choice", 0, nil, "size limit: 8192 MiB"},
		{"so much", 65 << 20, nil, "size limit: 65 MiB"},
		{"none", -1, nil, "prompt cache is disabled"},
		{"a person's choice", 65 << 20, []string{"cram=7"}, "size limit: 7 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			whys := make(chan error, 10)
			e := open(t, inference.Spec{Parallel: 1, ContextLength: 512, PromptCache: c.bytes, Flags: append(c.flags, "verbosity=5"), Changed: func(why error) { whys <- why }})
			pid := e.PID()
			if err := syscall.Kill(pid, syscall.SIGTERM); err != nil { // it says what it knows
				t.Fatal(err)
			}
			// A llama-server that has only just begun to listen may miss it.
			defer time.AfterFunc(10*time.Second, func() { _ = syscall.Kill(pid, syscall.SIGKILL) }).Stop()
			d, ok := errors.AsType[*process.Death](<-whys)
			if !ok || !strings.Contains(strings.Join(d.Lines, "\n"), c.says) {
				t.Errorf("it does not say %q: %v", c.says, d)
			}
		})
	}
}
