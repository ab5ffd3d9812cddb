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
		"localhost": {state: ops.HiveUp, snapshot: ops.HiveSnapshot{Models: []ops.Model{{ID: "m1", Source: "hf:t/m:m1-Q8_0.gguf"}}}},
	}}}
	q.aliases.all.Store(&map[string]string{"d1": "m1", "x": "hf:t/x", "old": "olds", "came": "hf:t/m"})
	for name, tt := range map[string]struct {
		op    ops.HiveOp
		field string
		want  string
	}{
		"an alias of what has come":            {ops.Infer{Model: "cane"}, "model", `did you mean "came"? ` + "`rbee model aliases` shows what it means"},
		"an alias mistyped":                    {ops.Infer{Model: "d2"}, "model", `did you mean "d1"? ` + "`rbee model aliases` shows what it means"},
		"the same, as a hive says it":          {ops.ModelGet{ID: "d2"}, "", `did you mean "d1"? ` + "`rbee model aliases` shows what it means"},
		"a model that is there":                {ops.Infer{Model: "m1"}, "", "it has: cpu"},
		"a device that none has":               {ops.Infer{Model: "m1", Device: "cuda:7"}, "device", "it has: cpu"},
		"a device, of a model there is not":    {ops.WorkerSpawn{Model: "d2", Device: "cuda:7"}, "device", "it has: cpu"},
		"an engine that none has":              {ops.WorkerSpawn{Model: "m1", Engine: "llamacpp"}, "worker", "it has: cpu"},
		"an alias of what has to be brought":   {ops.Infer{Model: "x"}, "model", "it has: cpu"},
		"the same, named":                      {ops.WorkerSpawn{Model: "hf:t/x"}, "model", "it has: cpu"},
		"near to that":                         {ops.Infer{Model: "y"}, "model", "it has: cpu"},
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
	q.AutoDownload = true
	err := q.orAlias(t.Context(), ops.Infer{Model: "y"}, ops.Errorf(ops.CodeNotFound, "there is none"))
	if got := ops.AsError(err).Hint; got != `did you mean "x"? `+"`rbee model aliases` shows what it means" {
		t.Errorf("one of what a request brings: %q", got)
	}
}

// TestAModelIsCopiedByAnotherName: of several that it means, one that is where it is to
// come from.
func TestAModelIsCopiedByAnotherName(t *testing.T) {
	up := func(hive string, models ...ops.Model) *entry {
		e := &entry{state: ops.HiveUp}
		for _, m := range models {
			m.HiveID = hive
			e.snapshot.Models = append(e.snapshot.Models, m)
		}
		return e
	}
	of := func(id, source string) ops.Model { return ops.Model{ID: id, Source: source} }
	q := &Queen{books: books{hives: map[string]*entry{
		"localhost": up("localhost", of("m1", "copied"), of("q8", "hf:t/x:x-Q8_0.gguf")),
		"gpu1":      up("gpu1", of("q4", "hf:t/x:x-Q4_K_M.gguf"), of("taken", "copied")),
	}}}
	q.aliases.all.Store(&map[string]string{"a": "m1", "r": "hf:t/x", "gone": "m9", "nowhere": "hf:t/y", "taken": "m1"})
	for name, tt := range map[string]struct {
		op   ops.ModelCopy
		want string
	}{
		"its own name":                  {ops.ModelCopy{Model: "m1", To: "gpu1"}, "m1"},
		"an alias":                      {ops.ModelCopy{Model: "a", To: "gpu1"}, "m1"},
		"of where it comes from":        {ops.ModelCopy{Model: "r", To: "gpu2"}, "q4"},
		"the same, from a hive":         {ops.ModelCopy{Model: "r", From: "localhost", To: "gpu2"}, "q8"},
		"the same, to where one is":     {ops.ModelCopy{Model: "r", To: "gpu1"}, "q8"},
		"the same, from where none is":  {ops.ModelCopy{Model: "r", From: "gpu2", To: "gpu1"}, "r"},
		"one of what was deleted":       {ops.ModelCopy{Model: "gone", To: "gpu1"}, "m9"},
		"one of what was never brought": {ops.ModelCopy{Model: "nowhere", To: "gpu1"}, "nowhere"},
		"a model has it as its own":     {ops.ModelCopy{Model: "taken", To: "gpu2"}, "taken"},
	} {
		if got := q.carried(tt.op); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
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
