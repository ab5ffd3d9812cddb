package ops_test

import (
	"testing"

	"rbee.dev/rbee/ops"
)

func TestWhatATerminalIsShownIsOnlyText(t *testing.T) {
	for text, want := range map[string]string{
		"two lines\n\tof bees: ünï 蜂": "two lines\n\tof bees: ünï 蜂",
		"a\x1b[31mRED":                `a\x1b[31mRED`,
		"n\x00ul \u009b2J \u202egg":   `n\x00ul \u009b2J \u202egg`,
	} {
		if got := ops.Printable(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
