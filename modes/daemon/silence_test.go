package daemon_test

import (
	"strings"
	"testing"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

func TestHowLongAnEngineMaySayNothingIsChecked(t *testing.T) {
	for text, says := range map[string]string{
		"": "", "10m": "", "1s": "", "0s": "", "0": "",
		"foo": `a number and a unit as in 90s, 10m or 1h, or 0s for ever, got "foo"`, "5": "a number and a unit", "-5s": "must be 1s at least", "1ms": "must be 1s at least, or 0s for ever, got 1ms",
	} {
		t.Setenv(daemon.SilenceEnv, text)
		err := daemon.CheckSilenceEnv()
		if (err == nil) != (says == "") || says != "" && (ops.CodeOf(err) != ops.CodeInvalid || !strings.HasPrefix(err.Error(), daemon.SilenceEnv+": ") || !strings.Contains(err.Error(), says)) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}
