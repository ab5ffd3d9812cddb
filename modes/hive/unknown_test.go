package hive_test

import (
	"testing"

	"rbee.dev/rbee/modes/hive"
	"rbee.dev/rbee/ops"
)

// TestWhatAHiveHasNotGotIsRefusedBeforeItIsAJob: nor is anything done here that is for
// another hive.
func TestWhatAHiveHasNotGotIsRefusedBeforeItIsAJob(t *testing.T) {
	files := newHome(t)
	run(t, files, func(o *hive.Options) { o.Name = "gpu1" })
	c := client(t, files)
	w := do(t, c, ops.WorkerSpawn{})
	before, err := c.Jobs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	there := ops.OnHive{HiveID: "gpu2"}
	for _, r := range []struct {
		o     ops.HiveOp
		field string
		says  []string
	}{
		{ops.Infer{OnHive: there, Prompt: "x"}, "hive_id", []string{`this is the hive gpu1, not "gpu2"`, "ask the queen"}},
		{ops.WorkerList{OnHive: there}, "hive_id", []string{`not "gpu2"`}},
		{ops.Infer{Prompt: "x", WorkerID: "w"}, "worker_id", []string{`there is no worker "w" on hive gpu1`, "did you mean"}},
		{ops.WorkerGet{ID: w.ID + "x"}, "", []string{"there is no worker", w.ID}},
		{ops.WorkerDelete{ID: "nobody"}, "", []string{"there is no worker", "rbee worker list"}},
		{ops.Infer{Prompt: "x", Model: "tinybe"}, "", []string{`there is no model "tinybe" on hive gpu1`, `did you mean "tinybee"?`}},
		{ops.WorkerSpawn{Model: "tinybe"}, "", []string{`"tinybee"`}},
		{ops.ModelGet{ID: "tinybe"}, "", []string{`"tinybee"`}},
		{ops.ModelDelete{ID: "tinybe"}, "", []string{`"tinybee"`}},
		{ops.ModelPin{ID: "tinybe"}, "", []string{`"tinybee"`}},
	} {
		_, err := c.Submit(t.Context(), r.o, "")
		wantError(t, err, ops.CodeNotFound, r.says...)
		if e := ops.AsError(err); e != nil && e.Field != r.field {
			t.Errorf("%s: the field is %q, want %q", r.o.Name(), e.Field, r.field)
		}
	}
	after, err := c.Jobs(t.Context())
	if err != nil || len(after.Jobs) != len(before.Jobs) {
		t.Errorf("of what was refused there are jobs: %+v, %v", after.Jobs, err)
	}
	do(t, c, ops.WorkerGet{OnHive: ops.OnHive{HiveID: "gpu1"}, ID: w.ID})
	do(t, c, ops.ModelList{OnHive: ops.OnHive{HiveID: ops.LocalHive}}) // as it is called on its own machine
}
