package queen

import (
	"testing"

	"rbee.dev/rbee/ops"
)

func TestOnlyUsableModelsOfHivesThatAreUpAreOffered(t *testing.T) {
	bee := func(hive, why string) ops.HiveSnapshot {
		return ops.HiveSnapshot{Models: []ops.Model{{ID: "bee", HiveID: hive, SHA256: "ab", Error: why}}}
	}
	b := books{hives: map[string]*entry{
		"gpu2":        {state: ops.HiveUp, snapshot: bee("gpu2", "")},
		"gpu1":        {state: ops.HiveUp, snapshot: bee("gpu1", "")},
		"gone":        {state: ops.HiveDown, snapshot: bee("gone", "")},
		"bad":         {state: ops.HiveUp, snapshot: bee("bad", "cut off")},
		ops.LocalHive: {state: ops.HiveUp, snapshot: bee(ops.LocalHive, "")},
	}}
	if got := b.with("bee"); len(got) != 3 || got[0] != ops.LocalHive || got[1] != "gpu1" {
		t.Errorf("it is on %v", got)
	}
	if err := b.unusable("bee", ""); err == nil || err.Error() != "model: the model bee on bad cannot be used: cut off" {
		t.Errorf("where it is no use: %v", err)
	}
	for model, except := range map[string]string{"bee": "bad", "other": ""} {
		if err := b.unusable(model, except); err != nil {
			t.Errorf("%s, but not on %q: %v", model, except, err)
		}
	}
	if got := b.having("elsewhere", "ab"); len(got) != 3 {
		t.Errorf("offered are %+v", got)
	}
	if got := b.having("elsewhere", "cd"); len(got) != 0 {
		t.Errorf("with another sum: %+v", got)
	}
}

func TestTheJobThatBringsAModelHasALegalIdOfItsOwn(t *testing.T) {
	for _, id := range []string{"", "0123456789abcdef", "0123456789012345678901234567890123456789012345678901234567890123"} {
		if got := bringID(named(id)); ops.CheckJobID(got) != nil || got == id {
			t.Errorf("of %q it is %q", id, got)
		}
	}
}

// named is a sink that is only a name.
type named string

func (n named) JobID() string            { return string(n) }
func (named) Emit(ops.Event)             {}
func (named) Mark(ops.Event, ops.Cursor) {}
func (named) Cursor() ops.Cursor         { return ops.Cursor{} }
