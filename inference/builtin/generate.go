package builtin

import (
	"context"
	"errors"

	"rbee.dev/rbee/inference/openai"
	"rbee.dev/rbee/inference/sample"
	"rbee.dev/rbee/inference/template"
	"rbee.dev/rbee/ops"
)

// Generate answers one request; it is the engine's side of package openai.
func (e *Engine) Generate(ctx context.Context, r openai.Request, emit func(string) error) (openai.Outcome, error) {
	prompt, err := e.prompt(ctx, r)
	if err != nil {
		return openai.Outcome{}, err
	}
	outcome := openai.Outcome{Finish: openai.FinishLength, PromptTokens: len(prompt)}
	most := e.context - len(prompt)
	if r.MaxTokens > 0 {
		most = min(most, r.MaxTokens)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // whatever ends this ends the request on the engine
	q := &request{
		ctx: ctx, prompt: prompt, most: most, out: make(chan int32, most),
		sampler: sample.New(sample.Params{Temperature: r.Temperature, TopK: r.TopK, TopP: r.TopP, MinP: r.MinP, Seed: r.Seed}),
	}
	if err := e.scheduler.submit(q); err != nil {
		return outcome, err
	}
	text := e.tokens.NewDecoder()
	for token := range q.out {
		outcome.CompletionTokens++
		if ready := text.Next(token); ready != "" {
			if err := emit(ready); err != nil {
				return outcome, err
			}
		}
	}
	outcome.First, outcome.Last = q.first, q.last
	if errors.Is(q.err, sample.ErrNotANumber) {
		return outcome, ops.Errorf(ops.CodeInternal, "%w", q.err).
			WithHint("the file is damaged, or was made for another engine: delete the model and download it anew, or name another by --model")
	}
	if q.err != nil {
		return outcome, q.err
	}
	if q.ends {
		outcome.Finish = openai.FinishStop
	}
	if rest := text.Flush(); rest != "" {
		return outcome, emit(rest)
	}
	return outcome, nil
}

// prompt is the request as tokens.
func (e *Engine) prompt(ctx context.Context, r openai.Request) ([]int32, error) {
	field, text, special := "prompt", r.Prompt, false
	if len(r.Messages) > 0 {
		list := make([]template.Message, len(r.Messages))
		for i, m := range r.Messages {
			list[i] = template.Message(m)
		}
		var err error
		if text, err = e.chat.Render(ctx, list, r.Template); err != nil {
			return nil, templateError(ctx, err)
		}
		field, special = "messages", true
	}
	tokens := e.tokens.Encode(text, true, special)
	if bos, ok := e.tokens.BOS(); ok && len(tokens) > 1 && tokens[0] == bos && tokens[1] == bos {
		tokens = tokens[1:] // the template wrote one itself
	}
	return tokens, e.fits(field, len(tokens), e.context-1) // one more for the answer
}

// templateError says whether it is the conversation or the model's own template that
// does not work.
func templateError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	if _, ok := errors.AsType[template.RefusedError](err); ok {
		return ops.Invalid("messages", "%w", err)
	}
	return ops.Errorf(ops.CodeUnsupported, "the model's chat template does not work: %w", err).
		WithHint("--raw leaves it out, as the API's completions do; another file of the model may have a better one")
}

// fits refuses a text that has no tokens or more than most.
func (e *Engine) fits(field string, tokens, most int) error {
	switch {
	case tokens == 0:
		return ops.Invalid(field, "is empty")
	case tokens > most:
		long := ops.Invalid(field, "is %d tokens long, and the context holds %d with the answer", tokens, e.context)
		if e.context == e.longest {
			return long.WithHint("shorten it: the model was made for no longer context")
		}
		return long.WithHint("shorten it, or load the model with a longer --context-length, up to %d", e.longest)
	}
	return nil
}
