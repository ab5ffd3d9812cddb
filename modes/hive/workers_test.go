package hive_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
	"rbee.dev/rbee/transport"
)

func TestASpawnedWorkerIsReadyListedAndPublished(t *testing.T) {
	h := start(t)
	w := do(t, h.Client, ops.WorkerSpawn{Parallel: 2, Context: 99})
	if w.State != ops.WorkerReady || w.Model != "tinybee" || w.Engine != "builtin" || w.Device != "cpu" ||
		w.Slots != 2 || w.Context != 99 || w.HiveID != "localhost" || w.PID == 0 {
		t.Errorf("it is %+v", w)
	}
	if got := do(t, h.Client, ops.WorkerGet{ID: w.ID}); !reflect.DeepEqual(got, w) {
		t.Errorf("worker_get gives %+v, want %+v", got, w)
	}
	if s := await(t, h.Client, func(s ops.HiveSnapshot) bool { return len(s.Workers) == 1 && s.Workers[0].State == ops.WorkerReady }); !reflect.DeepEqual(s.Workers[0], w) || s.Hive.Workers != 1 {
		t.Errorf("published is %+v", s)
	}
	if _, err := os.Stat(w.LogPath); err != nil {
		t.Error(err)
	}
	fails(t, h.Client, ops.WorkerGet{ID: w.ID + "x"}, ops.CodeNotFound, "there is no worker", `did you mean "`+w.ID+`"`)
}

func TestDeletingAWorkerEndsItAndFailsWhatItAnswers(t *testing.T) {
	h := start(t)
	w := do(t, h.Client, ops.WorkerSpawn{})
	process := daemon.ProcessOf(w.PID)
	deleted := make(chan error, 1)
	got := infer(t, h.Client, ops.Infer{Prompt: "x"}, func(n int) {
		if n == 3 {
			go func() { // received below
				_, err := transport.Call(t.Context(), h.Client, ops.WorkerDelete{ID: w.ID})
				deleted <- err
			}()
		}
	})
	if got.err == nil {
		t.Error("the job is not told")
	}
	if err := <-deleted; err != nil {
		t.Fatal(err)
	}
	if process.Alive() {
		t.Error("the process lives on")
	}
	if _, err := os.Stat(h.home.Worker(w.ID)); !os.IsNotExist(err) {
		t.Errorf("the folder: %v", err)
	}
	if list := do(t, h.Client, ops.WorkerList{}).Workers; len(list) != 0 {
		t.Errorf("the list says %+v", list)
	}
	fails(t, h.Client, ops.WorkerDelete{ID: w.ID}, ops.CodeNotFound)
}

func TestWhatCannotBeSpawnedIsRefusedByName(t *testing.T) {
	h := start(t)
	for _, c := range []struct {
		name  string
		op    ops.WorkerSpawn
		code  ops.Code
		field string
		says  []string
	}{
		{"an engine there is not", ops.WorkerSpawn{Engine: "warp"}, ops.CodeInvalid, "worker", []string{`no engine "warp"`, "the engines are builtin"}},
		{"an engine mistyped", ops.WorkerSpawn{Engine: "builtn"}, ops.CodeInvalid, "worker", []string{`no engine "builtn"`, `did you mean "builtin"`}},
		{"a device there is not", ops.WorkerSpawn{Device: "rocm:7"}, ops.CodeNotFound, "device", []string{`no device "rocm:7"`, "it has: cpu"}},
		{"a model there is not", ops.WorkerSpawn{Model: "tinybeee"}, ops.CodeNotFound, "", []string{`no model "tinybeee"`, `did you mean "tinybee"`}},
		{"a path for a model", ops.WorkerSpawn{Model: "../../etc/passwd"}, ops.CodeInvalid, "model", []string{"must be a model's name"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if e := fails(t, h.Client, c.op, c.code, c.says...); e.Field != c.field {
				t.Errorf("the field is %q", e.Field)
			}
		})
	}
	if list := do(t, h.Client, ops.WorkerList{}).Workers; len(list) != 0 {
		t.Errorf("the list says %+v", list)
	}
}

func TestAModelThatTheEngineCannotRunIsRefusedBeforeAWorkerStarts(t *testing.T) {
	h := start(t)
	addModel(t, h.home, "strange", string(gguftest.Changed(testdata.Tinybee(), map[string]any{"general.architecture": "mamba"})))
	addModel(t, h.home, "tokens", string(gguftest.Changed(testdata.Tinybee(), map[string]any{"tokenizer.ggml.model": "blast"})))
	for model, why := range map[string]string{"strange": `its architecture is "mamba"`, "tokens": `the model "blast" is not known`} {
		fails(t, h.Client, ops.WorkerSpawn{Model: model}, ops.CodeUnsupported, "load "+model, why, "rbee engine install")
		fails(t, h.Client, ops.Infer{Model: model, Prompt: "hi"}, ops.CodeUnsupported, "load "+model, why, "rbee engine install")
	}
	if list := do(t, h.Client, ops.WorkerList{}).Workers; len(list) != 0 {
		t.Errorf("the list says %+v", list)
	}
	do(t, h.Client, ops.Infer{Prompt: "hi"}) // where none is named, another is taken
}

func TestAWorkerThatCannotLoadFailsTheSpawnWithTheReason(t *testing.T) {
	t.Setenv(realEngine, "1")
	h := start(t)
	e := fails(t, h.Client, ops.WorkerSpawn{Engine: "command", Command: "sh -c 'echo no card >&2; exit 3' {socket}"}, ops.CodeUnavailable, "load tinybee", "no card")
	if !strings.Contains(e.Hint, home.WorkerLog) {
		t.Errorf("the hint is %q", e.Hint)
	}
	list := do(t, h.Client, ops.WorkerList{}).Workers
	if len(list) != 1 || list[0].State != ops.WorkerFailed || !strings.Contains(list[0].Error, "no card") {
		t.Errorf("the list says %+v", list)
	}
	do(t, h.Client, ops.WorkerDelete{ID: list[0].ID})
	if list := do(t, h.Client, ops.WorkerList{}).Workers; len(list) != 0 {
		t.Errorf("then the list says %+v", list)
	}
}

// addModel puts a model into the home as a person does who copies a folder.
func addModel(t *testing.T, h home.Home, id, text string) {
	t.Helper()
	folder := filepath.Join(h.Models(), id)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, id+".gguf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestASpawnThatIsCancelledLeavesNoWorker(t *testing.T) {
	t.Setenv(loadTime, "1h")
	h := start(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("changed my mind")
	var process daemon.Process
	_, err := h.Do(ctx, ops.WorkerSpawn{}, "", func(transport.Received) error {
		s := await(t, h.Client, func(s ops.HiveSnapshot) bool { return len(s.Workers) == 1 && s.Workers[0].PID > 0 })
		if process = daemon.ProcessOf(s.Workers[0].PID); s.Workers[0].State != ops.WorkerLoading {
			t.Errorf("it is %s", s.Workers[0].State)
		}
		cancel(why)
		return nil
	})
	if !errors.Is(err, why) {
		t.Fatalf("got %v", err)
	}
	await(t, h.Client, func(s ops.HiveSnapshot) bool { return len(s.Workers) == 0 })
	if process.Alive() {
		t.Error("the process lives on")
	}
}

func TestASpawnWhoseWorkerSomebodyDeletesIsCancelled(t *testing.T) {
	t.Setenv(loadTime, "1h")
	h := start(t)
	_, err := h.Do(t.Context(), ops.WorkerSpawn{}, "", func(r transport.Received) error {
		if n, ok := r.Event.(ops.NarrationEvent); ok && n.Action == "worker_start" {
			s := await(t, h.Client, func(s ops.HiveSnapshot) bool { return len(s.Workers) == 1 && s.Workers[0].PID > 0 })
			do(t, h.Client, ops.WorkerDelete{ID: s.Workers[0].ID})
		}
		return nil
	})
	wantError(t, err, ops.CodeCancelled, "was stopped while it loaded", "`rbee worker spawn tinybee` starts another")
}

// TestAWorkerThatIsKilledWhileItLoadsIsStartedOnceMore: killed again, it fails.
func TestAWorkerThatIsKilledWhileItLoadsIsStartedOnceMore(t *testing.T) {
	for _, kills := range []int{1, 2} {
		t.Setenv(loadTime, "1h")
		h := start(t)
		var killed []int
		_, err := h.Do(t.Context(), ops.WorkerSpawn{}, "", func(r transport.Received) error {
			if n, ok := r.Event.(ops.NarrationEvent); !ok || n.Action != "worker_start" || len(killed) == kills {
				return nil
			}
			s := await(t, h.Client, func(s ops.HiveSnapshot) bool {
				return len(s.Workers) == 1 && s.Workers[0].PID > 0 && !slices.Contains(killed, s.Workers[0].PID)
			})
			killed = append(killed, s.Workers[0].PID)
			if len(killed) == kills {
				t.Setenv(loadTime, "0s") // of one that were started now
			}
			kill(t, s.Workers[0].PID)
			return nil
		})
		if len(killed) != kills {
			t.Errorf("%d were killed", len(killed))
		}
		if kills == 1 && err != nil {
			t.Errorf("it fails with %v", err)
		}
		if kills == 2 {
			wantError(t, err, ops.CodeUnavailable, "ended: killed by signal 9")
		}
	}
}

func TestAModelThatAWorkerUsesIsNotDeleted(t *testing.T) {
	h := start(t)
	w := do(t, h.Client, ops.WorkerSpawn{})
	fails(t, h.Client, ops.ModelDelete{ID: "tinybee"}, ops.CodeConflict, "worker "+w.ID+" uses the model tinybee", "rbee worker delete "+w.ID)
	do(t, h.Client, ops.WorkerDelete{ID: w.ID})
	if d := do(t, h.Client, ops.ModelDelete{ID: "tinybee"}); d.Freed != int64(len(testdata.Tinybee())) {
		t.Errorf("it gives %+v", d)
	}
	await(t, h.Client, func(s ops.HiveSnapshot) bool { return len(s.Models) == 0 })
	wantError(t, infer(t, h.Client, ops.Infer{Prompt: "x"}, nil).err, ops.CodeNotFound, `no model "tinybee"`)
}

func TestADownloadedModelIsListedPublishedAndTheDefault(t *testing.T) {
	h := start(t)
	file := filepath.Join(t.TempDir(), "mine.gguf")
	if err := os.WriteFile(file, testdata.Tinybee(), 0o600); err != nil {
		t.Fatal(err)
	}
	m := do(t, h.Client, ops.ModelDownload{Model: file})
	if m.ID != "mine" || m.HiveID != "localhost" || m.Source != file {
		t.Errorf("it is %+v", m)
	}
	if got := do(t, h.Client, ops.ModelGet{ID: "mine"}); !reflect.DeepEqual(got, m) {
		t.Errorf("model_get gives %+v", got)
	}
	if list := do(t, h.Client, ops.ModelList{}).Models; len(list) != 2 || !reflect.DeepEqual(list[0], m) || list[1].Source != ops.BuiltInSource {
		t.Errorf("model_list gives %+v", list)
	}
	await(t, h.Client, func(s ops.HiveSnapshot) bool { return len(s.Models) == 2 && s.Hive.Models == 2 })
	got := infer(t, h.Client, ops.Infer{Prompt: "x", MaxTokens: 1}, nil)
	if got.err != nil || got.answer.Model != "mine" || got.story[0] != "hive: no model was named: taking mine, the one added last that can run" {
		t.Errorf("infer gives %+v", got)
	}
	fails(t, h.Client, ops.ModelGet{ID: "min"}, ops.CodeNotFound, `did you mean "mine"`)
}

func TestOnlyTheNewestFailedWorkersStayListed(t *testing.T) {
	h := start(t)
	for i := range 8 {
		id := "m" + string(rune('a'+i))
		addModel(t, h.home, id, string(testdata.Tinybee()))
		w := do(t, h.Client, ops.WorkerSpawn{Model: id})
		kill(t, w.PID)
		await(t, h.Client, func(s ops.HiveSnapshot) bool {
			for _, other := range s.Workers {
				if other.ID == w.ID {
					return other.State == ops.WorkerFailed
				}
			}
			return false
		})
	}
	var models []string
	for _, w := range do(t, h.Client, ops.WorkerList{}).Workers {
		models = append(models, w.Model)
	}
	if got := strings.Join(models, " "); got != "mc md me mf mg mh" { // five, and the last one
		t.Errorf("the list says %s", got)
	}
}

func TestWhatIsDeletedFreesOnlyWhatNoOtherModelHas(t *testing.T) {
	h := start(t)
	source := filepath.Join(t.TempDir(), "bee.gguf")
	if err := os.WriteFile(source, testdata.Tinybee(), 0o600); err != nil {
		t.Fatal(err)
	}
	m := do(t, h.Client, ops.ModelDownload{Model: source, ID: "one"})
	other := filepath.Join(filepath.Dir(filepath.Dir(m.Path)), "two")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(m.Path, filepath.Join(other, "model.gguf")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		id   string
		want int64
	}{{"one", 0}, {"two", m.Size}} {
		if d := do(t, h.Client, ops.ModelDelete{ID: tt.id}); d.Freed != tt.want {
			t.Errorf("deleting %s frees %d, want %d", tt.id, d.Freed, tt.want)
		}
	}
}
