package modes

import (
	"os"
	"regexp"
	"testing"
)

// TestARestartKnowsEveryFlagOfTheQueensAndItsVariable holds the keeper's list
// against the queen's flags: the two do not import each other.
func TestARestartKnowsEveryFlagOfTheQueensAndItsVariable(t *testing.T) {
	text, err := os.ReadFile("keeper/settings.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range commands(t)["queen_serve"].Flags {
		if len(flag.Envs) == 0 || flag.Name == "listen" || flag.Name == "queen" || flag.Name == "token" || flag.Name == "queen-fingerprint" {
			continue
		}
		if !regexp.MustCompile(`"` + flag.Name + `":\s+"` + flag.Envs[0] + `"`).Match(text) {
			t.Errorf("settings in keeper/settings.go lacks %q: %q", flag.Name, flag.Envs[0])
		}
	}
}
