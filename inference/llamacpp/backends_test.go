package llamacpp

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
	"rbee.dev/rbee/ops"
)

func TestAProgramWithoutBackendsCannotBeUsed(t *testing.T) {
	for name, c := range map[string]struct {
		lists string // beside its version
		none  bool
	}{
		"none":             {"Available buffer types:", true},
		"the CPU's":        {"Available buffer types:\n  CPU", false},
		"a card's":         {"Available buffer types:\n  CUDA0\n  CPU", false},
		"it does not tell": {"hello", false},
		"it never stops":   {"'; yes '", false},
	} {
		t.Run(name, func(t *testing.T) {
			path := program(t, `if [ "$1" = --version ]; then echo "version: 7000 (abc)"; exit; fi
printf '`+c.lists+`\n'; echo unknown buffer type >&2; exit 1`)
			v, err := Ask(t.Context(), path)
			if v.Build != 7000 || errors.Is(err, ErrNoBackend) != c.none || (err != nil) != c.none {
				t.Fatalf("it is %v, %v", v, err)
			}
			if e := ops.AsError(err); c.none && (e.Code != ops.CodeUnsupported || !strings.Contains(e.Message, path+" has nothing to compute with") || !strings.Contains(e.Hint, "rbee engine install")) {
				t.Errorf("it says %q (%q)", e.Message, e.Hint)
			}
		})
	}
}

func TestTheRealProgramTellsItsBackends(t *testing.T) {
	path := llamacpptest.Program(t)
	if _, err := Ask(t.Context(), path); err != nil {
		t.Errorf("with them: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := regexp.MustCompile(`cd '[^']*'`).ReplaceAllString(string(text), "cd /") // where it looks for them
	if err := os.WriteFile(path, []byte(elsewhere), 0o700); err != nil {                 //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	if _, err := Ask(t.Context(), path); !errors.Is(err, ErrNoBackend) {
		t.Errorf("without: %v", err)
	}
}
