package queen

import (
	"errors"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/modes/queen/access"
	"rbee.dev/rbee/ops"
)

// narrow is a queen who has the models bee and hornet, and ctx's key for bee.
func narrow(t *testing.T) (*Queen, string) {
	t.Helper()
	q, _ := remembering(t, nil)
	var err error
	names := func() []string { return []string{"bee", "hornet"} }
	if q.access, err = access.Open(t.Context(), access.Options{DB: q.store.db, Token: "token", Models: names}); err != nil {
		t.Fatal(err)
	}
	k, err := q.access.Create(t.Context(), ops.KeyCreate{Label: "guest", Digest: ops.KeyDigest(ops.NewKeySecret()), Models: []string{"bee"}, Scopes: []ops.Scope{ops.ScopeJobs}})
	if err != nil {
		t.Fatal(err)
	}
	q.books.heard("gpu1", ops.HiveSnapshot{Workers: []ops.Worker{{ID: "wbee1", Model: "bee"}, {ID: "whornet", Model: "hornet"}}}, time.Now())
	return q, k.ID
}

// TestAJobHearsOfNoModelsButThoseOfItsKey: from whichever daemon.
func TestAJobHearsOfNoModelsButThoseOfItsKey(t *testing.T) {
	q, key := narrow(t)
	for by, want := range map[string]string{
		key: "unloading another model to make room for bee",
		"":  "unloading hornet to make room for bee",
	} {
		sink := &noted{}
		ctx := q.discreetly(ops.WithCaller(ops.WithSink(t.Context(), sink), by))
		ops.Narrate(ctx, "worker_unload", "unloading %s to make room for %s", "hornet", "bee")
		at := ops.Cursor{Target: "gpu1", JobID: "j", Last: 3}
		ops.SinkOf(ctx).Mark(ops.NarrationEvent{Human: "unloading hornet to make room for bee"}, at)
		ops.Emit(ctx, ops.TokenEvent{Text: "hornet"})
		if strings.Join(sink.said, "|") != want+"|"+want+"|hornet" {
			t.Errorf("%q: it hears %q", by, sink.said)
		}
		if by == "" {
			continue
		}
		ops.SinkOf(ctx).Mark(nil, at)
		if ops.SinkOf(ctx).Cursor() != at {
			t.Errorf("where it has got to is %+v", sink.at)
		}
	}
	if ctx := ops.WithCaller(t.Context(), key); q.discreetly(ctx) != ctx {
		t.Error("work without a job has got one")
	}
}

// TestAKeyIsNotToldACommandLine: which may hold secrets; the queen's token is.
func TestAKeyIsNotToldACommandLine(t *testing.T) {
	q, key := narrow(t)
	const line = "serve --api-key s3cret {socket}"
	w := ops.Worker{ID: "wbee1", Model: "bee", Command: line, Flags: []string{"embeddings"}}
	for by, want := range map[string]string{key: "", "": line} {
		ctx := ops.WithCaller(t.Context(), by)
		listed, err := q.withAliases(ctx, ops.WorkerList{}, ops.Workers{Workers: []ops.Worker{w}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := q.withAliases(ctx, ops.WorkerGet{ID: w.ID}, w)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range append(listed.(ops.Workers).Workers, got.(ops.Worker)) {
			if x.Command != want || len(x.Flags) != 1 {
				t.Errorf("%q is told %+v", by, x)
			}
		}
	}
}

// TestAWorkerThatAKeyMayNotUseDoesNotExistForIt: nor one of which nobody has said yet
// what it runs, where that is for it to say what the job's model is.
func TestAWorkerThatAKeyMayNotUseDoesNotExistForIt(t *testing.T) {
	q, key := narrow(t)
	for name, tt := range map[string]struct {
		by   string
		o    ops.HiveOp
		sees bool
	}{
		"text of its model":               {key, ops.Infer{WorkerID: "wbee1"}, true},
		"text of another":                 {key, ops.Infer{WorkerID: "whornet"}, false},
		"text of another, called its own": {key, ops.Infer{WorkerID: "whornet", Model: "bee"}, false},
		"text of nobody knows what":       {key, ops.Infer{WorkerID: "wnew"}, false},
		"text of what has to be its own":  {key, ops.Infer{WorkerID: "wnew", Model: "bee"}, true}, // the hive refuses what is not
		"a look at its own":               {key, ops.WorkerGet{ID: "wbee1"}, true},
		"the end of another":              {key, ops.WorkerDelete{ID: "whornet"}, false},
		"no worker":                       {key, ops.Infer{Model: "bee"}, true},
		"the queen's token":               {"", ops.Infer{WorkerID: "whornet"}, true},
		"the token, nobody knows what":    {"", ops.Infer{WorkerID: "wnew"}, true},
	} {
		err := q.seesWorker(ops.WithSink(ops.WithCaller(t.Context(), tt.by), &noted{}), tt.o)
		if (err == nil) != tt.sees || err != nil && (ops.CodeOf(err) != ops.CodeNotFound || ops.AsError(err).Hint != workersHint) {
			t.Errorf("%s: %v", name, err)
		}
	}
	again := ops.WithSink(ops.WithCaller(t.Context(), key), &noted{at: ops.Cursor{Target: "gpu1", JobID: "j"}})
	if err := q.seesWorker(again, ops.Infer{WorkerID: "wnew"}); err != nil {
		t.Errorf("after a restart of the queen, who has heard of no worker yet: %v", err)
	}
}

// TestAHiddenWorkerIsNotProposed: in place of an id that none has.
func TestAHiddenWorkerIsNotProposed(t *testing.T) {
	q, key := narrow(t)
	near := func(id string) error {
		return ops.Errorf(ops.CodeNotFound, "there is no worker %q", id+"x").WithHint("did you mean %q? %s", id, workersHint)
	}
	for name, tt := range map[string]struct {
		by, id string
		told   bool
	}{
		"one's own":             {key, "wbee1", true},
		"another one's":         {key, "whornet", false},
		"to the queen's token":  {"", "whornet", true},
		"one that is no worker": {key, "whorne", true},
	} {
		err := near(tt.id)
		got := ops.AsError(q.nearerWorker(ops.WithCaller(t.Context(), tt.by), err))
		if told := strings.Contains(got.Hint, tt.id); told != tt.told || !strings.HasSuffix(got.Hint, workersHint) {
			t.Errorf("%s: %q", name, got.Hint)
		}
	}
	if err := errors.New("why"); q.nearerWorker(ops.WithCaller(t.Context(), key), err).Error() != "why" || q.nearerWorker(t.Context(), nil) != nil {
		t.Error("another error is changed")
	}
}

// TestAnExplanationNamesNoModelsButThoseOfTheKey: and what is remembered stays whole.
func TestAnExplanationNamesNoModelsButThoseOfTheKey(t *testing.T) {
	q, key := narrow(t)
	made := func() ops.Explanation {
		return ops.Explanation{
			Error: "bee: hornet is pinned", Hint: "`rbee model unpin hornet`",
			Decisions: []ops.Decision{{
				Notes: []string{"unloading hornet"}, Failed: "hornet holds its memory",
				Workers: []ops.Considered{{Why: "it runs bee"}}, Hives: []ops.Considered{{Why: "hornet is pinned"}},
			}},
		}
	}
	kept := made()
	told := kept
	explained(&told, q.access.Guest(key))
	d := told.Decisions[0]
	for _, text := range []string{told.Error, told.Hint, d.Notes[0], d.Failed, d.Hives[0].Why} {
		if strings.Contains(text, "hornet") || text == "" {
			t.Errorf("told is %q", text)
		}
	}
	if d.Workers[0].Why != "it runs bee" {
		t.Errorf("its own model: %q", d.Workers[0].Why)
	}
	if d := kept.Decisions[0]; d.Notes[0] != "unloading hornet" || d.Failed != "hornet holds its memory" || d.Hives[0].Why != "hornet is pinned" {
		t.Errorf("what is remembered became %+v", d)
	}
	all := made()
	explained(&all, q.access.Guest(""))
	if all.Error != kept.Error || all.Decisions[0].Notes[0] != "unloading hornet" {
		t.Errorf("the queen's token is told %+v", all)
	}
}
