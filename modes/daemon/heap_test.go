package daemon

import (
	"runtime/debug"
	"testing"
)

func TestGarbageIsCollectedAsOftenAsAPersonSays(t *testing.T) {
	const before = 123
	defer debug.SetGCPercent(debug.SetGCPercent(before))
	for said, want := range map[string]int{"": gcPercent, "50": before, "off": before} {
		t.Setenv("GOGC", said)
		debug.SetGCPercent(before)
		CollectSeldom()
		if got := debug.SetGCPercent(before); got != want {
			t.Errorf("with GOGC=%s it is %d, want %d", said, got, want)
		}
	}
}
