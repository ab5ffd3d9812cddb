package schedule

import (
	"context"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

// TestTheQueensOwnHiveSleepsWhereAnotherIsNamed that has the model: it is started for what
// it may answer, or give.
func TestTheQueensOwnHiveSleepsWhereAnotherIsNamed(t *testing.T) {
	for name, tt := range map[string]struct {
		r     Request
		runs  bool // the model, on a
		woken int
	}{
		"which has it":             {Request{Hive: "a", Model: "bee"}, false, 0},
		"which runs it":            {Request{Hive: "a", Model: "wasp"}, true, 0},
		"and no model":             {Request{Hive: "a"}, false, 0},
		"which may get it":         {Request{Hive: "a", Model: "wasp"}, false, 1},
		"but none, and no model":   {Request{}, false, 1},
		"but none":                 {Request{Model: "bee"}, false, 1},
		"but none, and it is free": {Request{Model: "wasp"}, true, 0},
		"which it is itself":       {Request{Hive: ops.LocalHive, Model: "bee"}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDepot(t, Options{})
			defer d.Close()
			d.Lost(ops.LocalHive)
			d.add("a", 8<<30, ops.Model{ID: "bee"})
			if tt.runs {
				d.run("a", "w", "wasp", 1)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // some wait in vain
			defer cancel()
			if lease, err := d.Acquire(ctx, tt.r); err == nil {
				lease.Release()
			}
			if d.woken != tt.woken {
				t.Errorf("it was started %d times, want %d", d.woken, tt.woken)
			}
		})
	}
}
