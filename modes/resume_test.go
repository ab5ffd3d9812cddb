package modes_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh/sshtest"
)

// TestAStreamGoesOnWhenItsWorkerIsKilled kills real workers in the middle of
// their answers: the client's text is the one that it would have been.
func TestAStreamGoesOnWhenItsWorkerIsKilled(t *testing.T) {
	t.Parallel() // it waits
	p := newPlace(t)
	c := newOpenAI(p)
	for range 2 {
		p.rbee("worker", "spawn", "slow", "--parallel", "1")
	}
	for _, tt := range []struct {
		name  string
		ask   openai.CompletionNewParams
		kills int
	}{
		{"greedy, another worker is there", openai.CompletionNewParams{Temperature: openai.Float(0)}, 1},
		{"seeded, another worker has to be started", openai.CompletionNewParams{Seed: openai.Int(7), Temperature: openai.Float(1)}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.ask.Model, tt.ask.MaxTokens = "slow", openai.Int(1000)
			tt.ask.Prompt = openai.CompletionNewParamsPromptUnion{OfString: openai.String("Once upon a time")}
			whole, err := c.Completions.New(t.Context(), tt.ask)
			if err != nil {
				t.Fatal(err)
			}
			var answer *http.Response
			stream := c.Completions.NewStreaming(t.Context(), tt.ask, option.WithHeader("x-rbee-resume", "true"), option.WithResponseInto(&answer))
			var text strings.Builder
			finish := ""
			for pieces := 0; stream.Next(); pieces++ {
				for _, choice := range stream.Current().Choices {
					text.WriteString(choice.Text)
					finish += string(choice.FinishReason)
				}
				if pieces == 5 || tt.kills == 2 && pieces == 20 {
					p.killBusy("slow")
				}
			}
			if err := stream.Err(); err != nil || text.String() != whole.Choices[0].Text || finish != "length" {
				t.Errorf("it ended with %v, %q, as %q; undisturbed it is %q", err, finish, text.String(), whole.Choices[0].Text)
				t.Log(p.rbee("explain", answer.Header.Get("X-Rbee-Job")))
			}
		})
	}
}

// TestAStreamGoesOnOnAnotherHive kills all of a hive in the middle of an answer
// of its worker's. The client's text is the one that it would have been, no token
// twice and none missing; without the header it ends with an error.
func TestAStreamGoesOnOnAnotherHive(t *testing.T) {
	t.Parallel() // it waits
	for _, engine := range []string{"builtin", "llamacpp"} {
		t.Run(engine, func(t *testing.T) {
			var env []string
			if engine == "llamacpp" {
				env = []string{llamacpp.PathEnv + "=" + llamacpptest.Program(t)}
			}
			f := newFar(t, sshtest.Options{Env: slices.Clone(env)}, env...)
			f.install()
			c := newOpenAI(f.place)
			for _, hive := range []string{"gpu1", "localhost"} {
				f.rbee("worker", "spawn", "slow", "--hive", hive, "--engine", engine, "--device", "cpu", "--parallel", "1")
			}
			ask := openai.CompletionNewParams{
				Model: "slow", MaxTokens: openai.Int(500), Temperature: openai.Float(0),
				Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("Once upon a time")},
			}
			whole, err := c.Completions.New(t.Context(), ask)
			if err != nil {
				t.Fatal(err)
			}
			want := whole.Choices[0].Text
			got, hives, err := f.streamAndKill(c, ask, "true")
			if err != nil || got != want || len(hives) != 2 || hives[0] == hives[1] {
				t.Errorf("by %v it ended with %v, as %q; undisturbed it is %q", hives, err, got, want)
			}
			got, hives, err = f.streamAndKill(c, ask, "false")
			if err == nil || !strings.HasPrefix(want, got) || got == want || len(hives) != 1 {
				t.Errorf("without the header, by %v it ended with %v, as %q", hives, err, got)
			}
		})
	}
}

// streamAndKill streams an answer, kills the hive that gives it in the middle, and
// returns what the client got, and the hives that the queen chose for it.
func (f *far) streamAndKill(c openai.Client, ask openai.CompletionNewParams, resume string) (text string, hives []string, err error) {
	f.t.Helper()
	var answer *http.Response
	stream := c.Completions.NewStreaming(f.t.Context(), ask, option.WithHeader("x-rbee-resume", resume), option.WithResponseInto(&answer))
	for pieces := 0; stream.Next(); pieces++ {
		for _, choice := range stream.Current().Choices {
			text += choice.Text
		}
		if pieces == 5 {
			f.killHive(f.busyHive("slow"))
		}
	}
	var x ops.Explanation
	if err := json.Unmarshal([]byte(f.rbee("explain", answer.Header.Get("X-Rbee-Job"), "-o", "json")), &x); err != nil {
		f.t.Fatal(err)
	}
	for _, d := range x.Decisions {
		if d.Outcome == ops.DecidedWorker {
			hives = append(hives, d.HiveID)
		}
	}
	return text, hives, stream.Err()
}

// busyHive is the hive whose worker answers for the model, once one does.
func (f *far) busyHive(model string) string {
	f.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, w := range f.workers() {
			if w.Model == model && w.Running > 0 {
				return w.HiveID
			}
		}
	}
	f.t.Fatalf("no worker answers: %+v", f.workers())
	return ""
}

// killHive kills a hive and its workers.
func (f *far) killHive(id string) {
	f.t.Helper()
	pids := []int{f.hive(id).PID}
	for _, w := range f.workers() {
		if w.HiveID == id && w.PID != 0 {
			pids = append(pids, w.PID)
		}
	}
	for _, pid := range pids {
		f.kill(pid)
	}
}

// killBusy kills the worker that answers for the model, once one does.
func (p *place) killBusy(model string) {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, w := range p.workers() {
			if w.Model != model || w.State == ops.WorkerFailed || w.Running == 0 {
				continue
			}
			switch err := syscall.Kill(w.PID, syscall.SIGKILL); {
			case err == nil:
				return
			case !errors.Is(err, syscall.ESRCH): // of one that was killed already, its hive has not heard yet
				p.t.Fatal(err)
			}
		}
	}
	p.t.Errorf("no worker answers: %+v", p.workers())
}
