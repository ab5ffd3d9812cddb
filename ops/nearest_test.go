package ops_test

import (
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestNearest(t *testing.T) {
	names := []string{"worker_spawn", "worker_list", "worker_get", "infer", "status"}
	for s, want := range map[string]string{
		"worker_spwan":             "worker_spawn",
		"workerspawn":              "worker_spawn",
		"WORKER_LIST":              "worker_list",
		"inferr":                   "infer",
		"stat":                     "status",
		"worker_s":                 "worker_spawn",
		"worker":                   "", // three begin with it
		"dance":                    "",
		"":                         "",
		strings.Repeat("x", 1<<20): "",
	} {
		if got := ops.Nearest(s, names); got != want {
			t.Errorf("Nearest(%.20q) = %q, want %q", s, got, want)
		}
	}
	if got := ops.Nearest("infer", nil); got != "" {
		t.Errorf("Nearest() of nothing = %q", got)
	}
}

func TestATagIsLeftOffANameThatThereIs(t *testing.T) {
	names := []string{"alpha", "alpha-2", "beta"}
	for s, want := range map[string]string{"alpha:latest": "alpha", "beta:q8_0": "beta", "gamma:latest": "", "alpha-2:x": "alpha-2"} {
		if got := ops.Nearest(s, names); got != want {
			t.Errorf("%q is %q, want %q", s, got, want)
		}
	}
	if got := ops.NearestNames("alpha:latest", names); len(got) == 0 || got[0] != "alpha" {
		t.Errorf("%q", got)
	}
}
