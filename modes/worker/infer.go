package worker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// call is the body of a request to the engine: OpenAI's fields, and top_k and
// min_p, which engines of this kind take too. Every sampling setting is sent,
// so that an engine's own defaults do not matter.
type call struct {
	Model         string    `json:"model"`
	Messages      []message `json:"messages,omitempty"`
	Prompt        string    `json:"prompt,omitempty"`
	Stream        bool      `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	MaxTokens   int      `json:"max_tokens,omitempty"`
	Temperature float64  `json:"temperature"`
	TopP        float64  `json:"top_p"`
	TopK        int      `json:"top_k"`
	MinP        float64  `json:"min_p"`
	Seed        *int64   `json:"seed,omitempty"`
	Stop        []string `json:"stop,omitempty"`
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// newCall puts o into the engine's words and says which route takes it.
func newCall(model string, o ops.Infer) (path string, c call) {
	c = call{
		Model: model, Stream: true, MaxTokens: o.MaxTokens, Seed: o.Seed, Stop: o.Stop,
		Temperature: or(o.Temperature, ops.DefaultTemperature), TopP: or(o.TopP, ops.DefaultTopP),
		TopK: or(o.TopK, ops.DefaultTopK), MinP: or(o.MinP, ops.DefaultMinP),
	}
	c.StreamOptions.IncludeUsage = true
	if o.Raw {
		c.Prompt = o.Prompt
		return "/v1/completions", c
	}
	if o.System != "" {
		c.Messages = append(c.Messages, message{Role: "system", Content: o.System})
	}
	c.Messages = append(c.Messages, message{Role: "user", Content: o.Prompt})
	return "/v1/chat/completions", c
}

func or[T any](value *T, fallback T) T {
	if value == nil {
		return fallback
	}
	return *value
}

// isAnother refuses a job for another worker or model, before it is one.
func (w *Worker) isAnother(_ context.Context, o ops.Infer) error {
	e, field := ops.Errorf(ops.CodeNotFound, "worker %s runs %s, not %s", w.ID, w.Model, o.Model), "model"
	switch {
	case o.WorkerID != "" && o.WorkerID != w.ID:
		e, field = ops.Errorf(ops.CodeNotFound, "this is worker %s, not %q", w.ID, o.WorkerID), "worker_id"
	case o.Model == "" || o.Model == w.Model:
		return nil
	}
	e.Field = field
	return e.WithHint("`rbee worker list` shows the workers there are")
}

// infer does one job, as a client of the engine's own API.
func (w *Worker) infer(ctx context.Context, o ops.Infer) (any, error) {
	ctx = ops.As(ctx, "worker")
	select {
	case <-w.settled:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if w.failure != nil {
		return nil, w.failure
	}
	if w.engine == nil {
		return nil, ops.Errorf(ops.CodeUnavailable, "worker %s is stopping", w.ID)
	}
	r := run{began: time.Now(), silent: !or(o.Stream, true)}
	if err := w.ask(ctx, &r, o); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		if ops.CodeOf(err) != ops.CodeInvalid {
			err = w.named(err)
		}
		return nil, err
	}
	r.answer.Text, r.answer.Reasoning = r.text.String(), r.mind.all.String()
	if r.answer.Text == "" && r.answer.Reasoning != "" && r.answer.FinishReason == "length" {
		ops.Warn(ctx, "thought_long", "the model has used all its tokens to think: --max-tokens gives it more")
	}
	r.answer.Model, r.answer.HiveID, r.answer.WorkerID = w.Model, w.Hive, w.ID
	r.answer.DurationMS = milliseconds(time.Since(r.began))
	return r.answer, nil
}

// named is err, which is no fault of the request, with whose it is.
func (w *Worker) named(err error) *ops.Error {
	e := ops.AsError(err)
	of := fmt.Sprintf("worker %s of %s, which runs %s: ", w.ID, w.Hive, w.Model)
	if strings.HasPrefix(e.Message, of) {
		return e
	}
	return ops.AsError(fmt.Errorf("%s%w", of, err)).WithHint("%s", e.Hint)
}

// run is one answer on its way.
type run struct {
	began  time.Time
	silent bool
	came   int // chunks
	text   strings.Builder
	mind   thoughts
	answer ops.Answer
}

// ask sends the request and takes in the answer.
func (w *Worker) ask(ctx context.Context, r *run, o ops.Infer) error {
	path, c := newCall(w.Model, o)
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://engine"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := w.client.Do(request)
	if err != nil {
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err // the URL is made up
		}
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return refusal(answer)
	}
	if !transport.IsStream(answer.Header) {
		return noStream(answer)
	}
	for c, err := range chunks(answer.Body) {
		if err != nil {
			return err
		}
		r.came++
		r.take(ctx, c)
	}
	r.mind.tell(ctx)
	if r.came == 0 {
		return ops.Errorf(ops.CodeInternal, "the engine answers with nothing that can be read")
	}
	if r.answer.FinishReason == "" {
		return errBroken
	}
	return nil
}

// take passes a chunk's text on and notes the rest of it.
func (r *run) take(ctx context.Context, c chunk) {
	if c.Usage != nil {
		r.answer.PromptTokens, r.answer.CompletionTokens = c.Usage.PromptTokens, c.Usage.CompletionTokens
	}
	for _, choice := range c.Choices {
		if choice.FinishReason != nil && *choice.FinishReason != "" {
			r.answer.FinishReason = *choice.FinishReason
		}
		r.mind.take(ctx, cmp.Or(choice.Delta.Reasoning, choice.Delta.Thought))
		text := choice.Delta.Content + choice.Text // only one of them is there
		if text == "" {
			continue
		}
		r.mind.tell(ctx)
		if r.text.Len() == 0 {
			r.answer.FirstTokenMS = milliseconds(time.Since(r.began))
		}
		r.text.WriteString(text)
		if !r.silent {
			ops.Emit(ctx, ops.TokenEvent{Text: text})
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
