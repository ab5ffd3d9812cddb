package modes_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"rbee.dev/rbee/ops"
)

// TestAStreamGoesOnWhenItsWorkerIsKilled kills real workers in the middle of
// their answers: the client's text is the one that it would have been.
func TestAStreamGoesOnWhenItsWorkerIsKilled(t *testing.T) {
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
			tt.ask.Model, tt.ask.MaxTokens = "slow", openai.Int(350)
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
			}
		})
	}
}

// killBusy kills the worker that answers for the model, once one does.
func (p *place) killBusy(model string) {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, w := range p.workers() {
			if w.Model == model && w.State != ops.WorkerFailed && w.Running > 0 {
				p.kill(w.PID)
				return
			}
		}
	}
	p.t.Errorf("no worker answers: %+v", p.workers())
}
