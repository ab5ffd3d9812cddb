package queen

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

// knowing is a queen with the hives localhost, gpu1 and gpu9, which is down. Those that
// are up have what is in the books, and, since a moment ago, the worker wnew and the model
// new. asked counts what they were asked.
func knowing(t *testing.T) (q *Queen, asked *atomic.Int32) {
	t.Helper()
	q, _ = remembering(t, nil)
	asked = &atomic.Int32{}
	has := func(name string) func(context.Context, ops.HiveOp) (any, error) {
		there := []string{"wnew", "new"}
		return func(_ context.Context, o ops.HiveOp) (any, error) {
			asked.Add(1)
			id, _ := ops.WorkerNamed(o)
			what := "worker"
			if id == "" {
				id, what = ops.ModelNamed(o), "model"
			}
			if slices.Contains(there, id) {
				return nil, nil
			}
			return nil, ops.Errorf(ops.CodeNotFound, "there is no %s %q on hive %s", what, id, name).WithHint("did you mean %q?", "near")
		}
	}
	for _, id := range []string{ops.LocalHive, "gpu1", "gpu9"} {
		q.hives.remove(id)
		q.addServed(t, id, has(id))
		q.books.hives[id] = &entry{}
	}
	q.books.heard(ops.LocalHive, ops.HiveSnapshot{
		Workers: []ops.Worker{{ID: "w1", HiveID: ops.LocalHive, Model: "bee"}}, Models: []ops.Model{{ID: "bee", HiveID: ops.LocalHive}},
	}, time.Now())
	q.books.heard("gpu1", ops.HiveSnapshot{
		Workers: []ops.Worker{{ID: "w2", HiveID: "gpu1", Model: "wasp"}}, Models: []ops.Model{{ID: "wasp", HiveID: "gpu1"}},
	}, time.Now())
	q.aliases.all.Store(&map[string]string{"b": "bee", "far": "hf:o/r"})
	return q, asked
}

func on(hive string) ops.OnHive { return ops.OnHive{HiveID: hive} }

func TestWhatAnOperationNamesAndThereIsNotIsRefusedBeforeItIsAJob(t *testing.T) {
	q, _ := knowing(t)
	const noHive, noModel = `there is no hive "gpu"`, `there is no model "bea" on any hive`
	for _, c := range []struct {
		o                    ops.Op
		message, field, hint string
	}{
		{ops.Infer{OnHive: on("gpu")}, noHive, "hive_id", `"gpu`},
		{ops.WorkerList{OnHive: on("gpu")}, noHive, "hive_id", `"gpu`},
		{ops.ModelDownload{OnHive: on("gpu"), Model: "hf:o/r"}, noHive, "hive_id", `"gpu`},
		{ops.WorkerSpawn{OnHive: on("gpu")}, noHive, "hive_id", `"gpu`},
		{ops.WorkerSpawn{Split: ops.Split{Hives: []string{"gpu1", "gpu"}}}, noHive, "hives", `"gpu`},
		{ops.HiveGet{HiveID: "gpu"}, noHive, "", `"gpu`},
		{ops.HiveUninstall{HiveID: "gpu"}, noHive, "", `"gpu`},
		{ops.ModelCopy{To: "gpu"}, noHive, "to", `"gpu`},
		{ops.ModelCopy{To: "gpu1", From: "gpu"}, noHive, "from", `"gpu`},
		{ops.ModelCopy{To: "gpu1", Model: "bea"}, `no other hive that is up has a model "bea"`, "model", ""},
		{ops.ModelAlias{Alias: "x", Model: "bea"}, noModel, "model", `"bee"`},
		{ops.Infer{Model: "bea"}, noModel, "model", `"bee"`},
		{ops.WorkerSpawn{Model: "bea"}, noModel, "model", `"bee"`},
		{ops.Infer{Model: "bea", OnHive: on("gpu1")}, `there is no model "bea" on hive gpu1`, "", `"near"`},
		{ops.WorkerSpawn{Model: "bea", Split: ops.Split{Hives: []string{"gpu1", ops.LocalHive}}}, `there is no model "bea" on hive gpu1`, "", `"near"`},
		{ops.ModelGet{ID: "bea"}, `there is no model "bea" on hive localhost`, "", `"near"`},
		{ops.ModelGet{ID: "wasp"}, `there is no model "wasp" on hive localhost; it is on gpu1`, "", "--hive gpu1"},
		{ops.ModelDelete{ID: "b"}, `there is no model "b" on hive localhost`, "", "it is an alias: name its model, bee"},
		{ops.ModelPin{ID: "bea", OnHive: on("gpu1")}, `there is no model "bea" on hive gpu1`, "", `"near"`},
		{ops.WorkerGet{ID: "w9"}, `there is no worker "w9" on hive localhost`, "", `"near"`},
		{ops.WorkerDelete{ID: "w1", OnHive: on("gpu1")}, `there is no worker "w1" on hive gpu1; it is on localhost`, "", "--hive localhost"},
		{ops.Infer{WorkerID: "w9"}, `there is no worker "w9" on hive localhost`, "worker_id", `"near"`},
		{ops.Explain{ID: "nothing"}, "nothing is remembered", "id", ""},
		{ops.Usage{Model: "bea"}, `there is no model "bea"`, "model", ""},
	} {
		err := q.unknown(t.Context(), c.o)
		e := ops.AsError(err)
		if e == nil || e.Code != ops.CodeNotFound || !strings.HasPrefix(e.Message, c.message) || e.Field != c.field || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s %+v: %+v", c.o.Name(), c.o, e)
		}
	}
}

// TestWhatIsNotCertainIsAJob: it finds out.
func TestWhatIsNotCertainIsAJob(t *testing.T) {
	q, asked := knowing(t)
	for _, o := range []ops.Op{
		ops.Infer{},
		ops.WorkerSpawn{},
		ops.WorkerList{},
		ops.Status{},
		ops.Usage{},
		ops.Infer{Model: "bee"},
		ops.Infer{Model: "b"},
		ops.Infer{Model: "bee", OnHive: on("gpu1")}, // which gets it first
		ops.Infer{Model: "hf:o/r"},
		ops.WorkerSpawn{Model: "far"},
		ops.ModelAlias{Alias: "x", Model: "hf:o/r"}, // which may be downloaded
		ops.ModelAlias{Alias: "x", Model: "bee"},
		ops.ModelCopy{To: "gpu1", Model: "bee"},
		ops.ModelCopy{To: "gpu1", From: "gpu9", Model: "x"},
		ops.ModelDownload{Model: "hf:o/r", ID: "x"},
		ops.HiveInstall{HiveID: "gpu3"},
		ops.ModelGet{ID: "b"},
		ops.ModelGet{ID: "wasp", OnHive: on("gpu1")},
		ops.ModelUnpin{ID: "bee"},
		ops.WorkerGet{ID: "w1"},
		ops.WorkerDelete{ID: "w2"},
		ops.Infer{WorkerID: "w2"},
		ops.ModelGet{ID: "x", OnHive: on("gpu9")},
		ops.WorkerGet{ID: "w9", OnHive: on("gpu9")},
		ops.Infer{Model: "x", OnHive: on("gpu9")}, // which is down
	} {
		if err := q.unknown(t.Context(), o); err != nil {
			t.Errorf("%s %+v: %v", o.Name(), o, err)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("hives were asked %d times for what is in the books", n)
	}
	for _, o := range []ops.Op{
		ops.WorkerGet{ID: "wnew"},
		ops.WorkerDelete{ID: "wnew", OnHive: on("gpu1")},
		ops.Infer{WorkerID: "wnew"},
		ops.ModelGet{ID: "new"},
		ops.ModelPin{ID: "new"},
		ops.Infer{Model: "new", OnHive: on("gpu1")},
		ops.WorkerSpawn{Model: "new", OnHive: on("gpu1")},
	} {
		if err := q.unknown(t.Context(), o); err != nil {
			t.Errorf("of what is there since a moment ago: %s %+v: %v", o.Name(), o, err)
		}
	}
	q.books.lost(ops.LocalHive, "")
	for _, o := range []ops.Op{ops.Infer{Model: "x"}, ops.WorkerGet{ID: "w1"}, ops.ModelGet{ID: "x"}, ops.ModelAlias{Alias: "y", Model: "x"}} {
		if err := q.unknown(t.Context(), o); err != nil {
			t.Errorf("with the hive down, which is started for it: %s: %v", o.Name(), err)
		}
	}
}

// TestAKeyIsNotToldOfWorkersThatItIsNotFor: a worker of another model is as unknown to it
// as one that there is not.
func TestAKeyIsNotToldOfWorkersThatItIsNotFor(t *testing.T) {
	q, key := narrow(t)
	ctx := ops.WithCaller(t.Context(), key)
	q.hives.remove("gpu1")
	for _, id := range []string{ops.LocalHive, "gpu1"} {
		q.addServed(t, id, func(_ context.Context, o ops.HiveOp) (any, error) {
			worker, _ := ops.WorkerNamed(o)
			return nil, ops.Errorf(ops.CodeNotFound, "there is no worker %q on hive %s", worker, id).WithHint("did you mean %q?", "whornet")
		})
	}
	q.books.hives[ops.LocalHive] = &entry{}
	q.books.heard(ops.LocalHive, ops.HiveSnapshot{}, time.Now())
	for _, o := range []func(id string) ops.HiveOp{
		func(id string) ops.HiveOp { return ops.WorkerGet{ID: id} },
		func(id string) ops.HiveOp { return ops.WorkerDelete{ID: id, OnHive: on("gpu1")} },
		func(id string) ops.HiveOp { return ops.Infer{WorkerID: id} },
	} {
		hidden, none := ops.AsError(q.unknown(ctx, o("whornet"))), ops.AsError(q.unknown(ctx, o("whornex")))
		if hidden == nil || none == nil {
			t.Fatalf("%+v: it is told of it: %v, %v", o("whornet"), hidden, none)
		}
		if strings.ReplaceAll(hidden.Error(), "whornet", "whornex") != none.Error() || hidden.Code != none.Code || hidden.Hint != none.Hint {
			t.Errorf("%+v: the one it may not see is %+v (%s), the one there is not %+v (%s)", o("whornet"), hidden, hidden.Hint, none, none.Hint)
		}
	}
	if err := q.unknown(ctx, ops.WorkerGet{ID: "wbee1", OnHive: on("gpu1")}); err != nil {
		t.Errorf("its own: %v", err)
	}
	if e := ops.AsError(q.unknown(ctx, ops.Infer{Model: "bea"})); e == nil || strings.Contains(e.Hint, "hornet") {
		t.Errorf("models that it is not for are told: %v", e)
	}
}
