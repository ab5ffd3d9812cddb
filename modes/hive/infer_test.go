package hive_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rbee.dev/rbee/inference/enginetest"
	"rbee.dev/rbee/ops"
)

func TestInferOnABareMachineStartsAWorkerAndTheNextOneUsesIt(t *testing.T) {
	h := start(t)
	first := infer(t, h.Client, ops.Infer{Prompt: "x"}, nil)
	if first.err != nil {
		t.Fatal(first.err)
	}
	worker := first.answer.WorkerID
	want := ops.Answer{
		Text: enginetest.Text(pieces), Model: "tinybee", HiveID: "localhost", WorkerID: worker, FinishReason: "stop",
		PromptTokens: 2, CompletionTokens: pieces,
	}
	if diff := cmp.Diff(want, first.answer, cmpopts.IgnoreFields(ops.Answer{}, "FirstTokenMS", "DurationMS")); diff != "" || first.text != want.Text {
		t.Errorf("tokens %q, answer %s", first.text, diff)
	}
	story := []string{"hive: worker " + worker + " loads tinybee on builtin, cpu", "hive: worker " + worker + " is ready"}
	if diff := cmp.Diff(story, first.story); diff != "" {
		t.Error(diff)
	}
	second := infer(t, h.Client, ops.Infer{Prompt: "x", MaxTokens: 3}, nil)
	if second.err != nil || second.answer.WorkerID != worker || len(second.story) > 0 || second.text != enginetest.Text(3) {
		t.Errorf("the second time: %+v", second)
	}
}

func TestTheBuiltInModelAnswersThroughTheRealEngine(t *testing.T) {
	t.Setenv(realEngine, "1")
	h := start(t)
	seed := int64(3)
	got := infer(t, h.Client, ops.Infer{Prompt: "Once upon a time", Seed: &seed, MaxTokens: 20}, nil)
	if got.err != nil || len(strings.Fields(got.text)) < 6 || got.answer.CompletionTokens != 20 {
		t.Errorf("got %q, %+v, %v", got.text, got.answer, got.err)
	}
}

func TestThoseWhoAskAtTheSameTimeShareOneNewWorker(t *testing.T) {
	h := start(t)
	var group sync.WaitGroup
	var mu sync.Mutex
	workers := map[string]int{}
	for range 12 {
		group.Go(func() {
			got := infer(t, h.Client, ops.Infer{Prompt: "x", MaxTokens: 5}, nil)
			mu.Lock()
			defer mu.Unlock()
			if got.err != nil || got.text != enginetest.Text(5) {
				t.Errorf("got %q, %v", got.text, got.err)
			}
			workers[got.answer.WorkerID]++
		})
	}
	group.Wait()
	if len(workers) != 1 {
		t.Errorf("the jobs went to %v", workers)
	}
}

func TestJobsSpreadOverTheWorkersOfAModel(t *testing.T) {
	h := start(t)
	for range 2 {
		do(t, h.Client, ops.WorkerSpawn{})
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	workers := map[string]int{}
	for range 6 {
		group.Go(func() {
			got := infer(t, h.Client, ops.Infer{Prompt: "x"}, nil)
			mu.Lock()
			defer mu.Unlock()
			workers[got.answer.WorkerID]++
		})
	}
	group.Wait()
	if len(workers) != 2 || slices.Max([]int{workers[first(workers)], 6 - workers[first(workers)]}) != 3 {
		t.Errorf("the jobs went to %v, want 3 each", workers)
	}
}

func first(m map[string]int) string {
	for k := range m {
		return k
	}
	return ""
}

func TestAParticularWorkerCanBeAskedFor(t *testing.T) {
	h := start(t)
	w := do(t, h.Client, ops.WorkerSpawn{})
	do(t, h.Client, ops.WorkerSpawn{})
	for range 3 {
		if got := infer(t, h.Client, ops.Infer{Prompt: "x", WorkerID: w.ID, MaxTokens: 1}, nil); got.answer.WorkerID != w.ID {
			t.Errorf("got %+v, want worker %s", got, w.ID)
		}
	}
	wantError(t, infer(t, h.Client, ops.Infer{Prompt: "x", WorkerID: "nobody"}, nil).err, ops.CodeNotFound, `there is no worker "nobody"`, "rbee worker list")
	wantError(t, infer(t, h.Client, ops.Infer{Prompt: "x", WorkerID: w.ID, Model: "other"}, nil).err, ops.CodeInvalid, w.ID+" runs tinybee, not other")
}

func TestAWorkerThatIsKilledMidAnswerFailsTheJobAndTheNextOneWorks(t *testing.T) {
	h := start(t)
	w := do(t, h.Client, ops.WorkerSpawn{})
	got := infer(t, h.Client, ops.Infer{Prompt: "x"}, func(n int) {
		if n == 5 {
			kill(t, w.PID)
		}
	})
	wantError(t, got.err, ops.CodeUnavailable, "worker "+w.ID+" ended: killed by signal 9", w.LogPath)
	if got.pieces < 5 || got.pieces == pieces {
		t.Errorf("%d pieces came", got.pieces)
	}
	list := do(t, h.Client, ops.WorkerList{}).Workers
	if len(list) != 1 || list[0].State != ops.WorkerFailed || !strings.Contains(list[0].Error, "signal 9") || list[0].PID != 0 {
		t.Errorf("the list says %+v", list)
	}
	again := infer(t, h.Client, ops.Infer{Prompt: "x", MaxTokens: 2}, nil)
	if again.err != nil || again.answer.WorkerID == w.ID {
		t.Errorf("the next one: %+v", again)
	}
	if list = do(t, h.Client, ops.WorkerList{}).Workers; len(list) != 1 || list[0].ID != again.answer.WorkerID {
		t.Errorf("now the list says %+v", list)
	}
	left, err := os.ReadDir(h.home.Worker(w.ID))
	if err != nil || len(left) != 1 || filepath.Join(h.home.Worker(w.ID), left[0].Name()) != w.LogPath {
		t.Errorf("of the dead worker's folder there is %v, %v: the error has told where its log is", left, err)
	}
}

func TestAParticularWorkerThatDiedIsNotSaidToStartAgain(t *testing.T) {
	h := start(t)
	w := do(t, h.Client, ops.WorkerSpawn{})
	o := ops.Infer{Prompt: "x", WorkerID: w.ID}
	dies := func(n int) {
		if n == 5 {
			kill(t, w.PID)
		}
	}
	for _, then := range []func(int){dies, nil} { // and when it is dead
		got := infer(t, h.Client, o, then)
		wantError(t, got.err, ops.CodeUnavailable, "worker "+w.ID+" ended: killed by signal 9", "`rbee infer --model tinybee` takes another worker, or starts one; its log was "+w.LogPath)
	}
}

func TestAnIdleWorkerThatDiesCostsNobodyAJob(t *testing.T) {
	h := start(t)
	for range 5 {
		w := do(t, h.Client, ops.WorkerSpawn{})
		kill(t, w.PID)
		if got := infer(t, h.Client, ops.Infer{Prompt: "x", MaxTokens: 1}, nil); got.err != nil {
			t.Error(got.err)
		}
		for _, w := range do(t, h.Client, ops.WorkerList{}).Workers {
			do(t, h.Client, ops.WorkerDelete{ID: w.ID})
		}
	}
}

func TestWhatAWorkerSaidLastIsInTheError(t *testing.T) {
	h := start(t)
	got := infer(t, h.Client, ops.Infer{Prompt: enginetest.WordDie}, nil)
	wantError(t, got.err, ops.CodeUnavailable, "(exit status 3)", "fatal error: the engine was asked to die")
}

func TestAnEngineThatFailsOrPanicsFailsOnlyItsJob(t *testing.T) {
	h := start(t)
	w := do(t, h.Client, ops.WorkerSpawn{})
	wantError(t, infer(t, h.Client, ops.Infer{Prompt: enginetest.WordFail}, nil).err, ops.CodeInternal, "the engine was asked to fail")
	wantError(t, infer(t, h.Client, ops.Infer{Prompt: enginetest.WordPanic}, nil).err, ops.CodeInternal, "the engine panicked")
	if got := infer(t, h.Client, ops.Infer{Prompt: "x", MaxTokens: 1}, nil); got.answer.WorkerID != w.ID {
		t.Errorf("then %+v", got)
	}
}

func TestCancellingAJobFreesTheWorkersSlot(t *testing.T) {
	h := start(t)
	id := ""
	accepted, err := h.Submit(t.Context(), ops.Infer{Prompt: enginetest.WordHang}, "")
	if err != nil {
		t.Fatal(err)
	}
	id = accepted.JobID
	got := heard{onToken: func(int) {
		if _, err := h.Cancel(t.Context(), id); err != nil {
			t.Error(err)
		}
	}}
	got.follow(t.Context(), h.Client, id)
	wantError(t, got.err, ops.CodeCancelled, "the job was cancelled")
	await(t, h.Client, func(s ops.HiveSnapshot) bool { return len(s.Workers) == 1 && s.Workers[0].Running == 0 })
}
