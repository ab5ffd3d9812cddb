package queen

import (
	"testing"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
)

// TestAnAliasIsProposedWhereTheModelIsUnknown: and not in place of what helps against
// something else.
func TestAnAliasIsProposedWhereTheModelIsUnknown(t *testing.T) {
	q := &Queen{books: books{schedule: schedule.New(schedule.Options{}), hives: map[string]*entry{
		"localhost": {state: ops.HiveUp, snapshot: ops.HiveSnapshot{Models: []ops.Model{{ID: "m1"}}}},
	}}}
	q.aliases.all.Store(&map[string]string{"d1": "m1", "x": "hf:t/x", "old": "olds"})
	for name, tt := range map[string]struct {
		op    ops.HiveOp
		field string
		want  string
	}{
		"an alias mistyped":                    {ops.Infer{Model: "d2"}, "model", `did you mean "d1"? ` + "`rbee model aliases` shows what it means"},
		"the same, as a hive says it":          {ops.ModelGet{ID: "d2"}, "", `did you mean "d1"? ` + "`rbee model aliases` shows what it means"},
		"a model that is there":                {ops.Infer{Model: "m1"}, "", "it has: cpu"},
		"a device that none has":               {ops.Infer{Model: "m1", Device: "cuda:7"}, "device", "it has: cpu"},
		"a device, of a model there is not":    {ops.WorkerSpawn{Model: "d2", Device: "cuda:7"}, "device", "it has: cpu"},
		"an engine that none has":              {ops.WorkerSpawn{Model: "m1", Engine: "llamacpp"}, "worker", "it has: cpu"},
		"an alias of what has to be brought":   {ops.Infer{Model: "x"}, "model", "it has: cpu"},
		"the same, named":                      {ops.WorkerSpawn{Model: "hf:t/x"}, "model", "it has: cpu"},
		"near to that":                         {ops.Infer{Model: "y"}, "model", `did you mean "x"? ` + "`rbee model aliases` shows what it means"},
		"an alias of what was deleted":         {ops.Infer{Model: "old"}, "model", "it has: cpu"},
		"what was deleted, of which it is one": {ops.ModelGet{ID: "olds"}, "", "it has: cpu"},
		"no model at all":                      {ops.Infer{}, "", "it has: cpu"},
	} {
		e := ops.Errorf(ops.CodeNotFound, "there is none").WithHint("it has: cpu")
		e.Field = tt.field
		if got := ops.AsError(q.orAlias(t.Context(), tt.op, e)).Hint; got != tt.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestADeviceIsLookedForOnOtherHives: where no hive was named.
func TestADeviceIsLookedForOnOtherHives(t *testing.T) {
	up := func(ids ...string) *entry {
		e := &entry{state: ops.HiveUp}
		for _, id := range ids {
			e.snapshot.Hive.Devices = append(e.snapshot.Hive.Devices, ops.Device{ID: id})
		}
		return e
	}
	q := &Queen{books: books{hives: map[string]*entry{"localhost": up("cpu"), "gpu1": up("cpu", "cuda:0", "cuda:1"), "gpu2": up("cpu", "cuda:0")}}}
	at := ops.OnHive{HiveID: "localhost"}
	for name, tt := range map[string]struct {
		op   ops.HiveOp
		want string
	}{
		"two have it":     {ops.WorkerSpawn{Model: "m", Device: "cuda:0"}, "it is on gpu1 and gpu2: add --hive gpu1"},
		"one has both":    {ops.Infer{Model: "m", Device: "cuda:0,cuda:1"}, "it is on gpu1: add --hive gpu1"},
		"none has":        {ops.WorkerSpawn{Model: "m", Device: "cuda:7"}, "it has: cpu; no other hive that is up has it either"},
		"a hive is named": {ops.WorkerSpawn{OnHive: at, Model: "m", Device: "cuda:0"}, "it has: cpu"},
	} {
		e := ops.Errorf(ops.CodeNotFound, "there is no device").WithHint("it has: cpu")
		e.Field = "device"
		if got := ops.AsError(q.orElsewhere(tt.op, e)).Hint; got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
