package builtin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/builtin/kernel"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/openai"
	"rbee.dev/rbee/inference/sample"
	"rbee.dev/rbee/inference/template"
	"rbee.dev/rbee/inference/tokenizer"
	"rbee.dev/rbee/ops"
)

// Engine is a model, loaded and ready.
type Engine struct {
	file      *gguf.File
	tokens    *tokenizer.Tokenizer
	chat      *template.Template
	pool      *pool
	scheduler *scheduler
	context   int
	handler   http.Handler
}

var _ inference.Engine = (*Engine)(nil)

// Open loads the model and returns when it can answer. A model that it cannot
// run is refused with an error of code unsupported that says why.
func Open(_ context.Context, spec inference.Spec) (_ *Engine, err error) {
	if spec.Device != "" && spec.Device != "auto" && spec.Device != "cpu" {
		return nil, ops.Errorf(ops.CodeUnsupported, "the builtin engine runs on the cpu only, not on %q", spec.Device)
	}
	file, err := gguf.Open(spec.ModelPath)
	if err != nil {
		return nil, fmt.Errorf("open the model: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	e := &Engine{file: file}
	if e.tokens, err = tokenizer.New(file); err != nil {
		return nil, unsupported("%w", err)
	}
	m, err := loadModel(file, kernel.New(), e.tokens.Size())
	if err != nil {
		return nil, err
	}
	if e.chat, err = chatTemplate(file, e.tokens); err != nil {
		return nil, unsupported("%w", err)
	}
	if e.context, err = contextLength(spec.ContextLength, m.context); err != nil {
		return nil, err
	}
	threads := spec.Threads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	slots := spec.Parallel
	if slots <= 0 {
		slots = inference.DefaultParallel
	}
	e.pool = newPool(threads)
	e.scheduler = newScheduler(newRunner(m, e.pool), slots, e.tokens.IsEnd)
	e.handler = openai.NewHandler(spec.ModelID, e)
	return e, nil
}

func chatTemplate(f *gguf.File, t *tokenizer.Tokenizer) (*template.Template, error) {
	source, ok := f.String("tokenizer.chat_template")
	if !ok {
		source = template.ChatML
	}
	text := func(id int32, ok bool) string {
		if !ok {
			return ""
		}
		return t.Text(id)
	}
	return template.Parse(source, text(t.BOS()), text(t.EOS()))
}

func contextLength(wanted, model int) (int, error) {
	switch {
	case wanted > model:
		return 0, ops.Invalid("context_length", "is %d tokens, and the model was made for %d", wanted, model)
	case wanted > 0:
		return wanted, nil
	}
	return min(model, inference.DefaultContextLength), nil
}

// ServeHTTP serves the model over OpenAI's API.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.handler.ServeHTTP(w, r) }

// Slots is how many requests run at once.
func (e *Engine) Slots() int { return len(e.scheduler.slots) }

// ContextLength is how many tokens each request may hold.
func (e *Engine) ContextLength() int { return e.context }

// Close ends what runs and gives the model up.
func (e *Engine) Close() error {
	e.scheduler.close()
	e.pool.close()
	return e.file.Close()
}

// Generate answers one request; it is the engine's side of package openai.
func (e *Engine) Generate(ctx context.Context, r openai.Request, emit func(string) error) (openai.Outcome, error) {
	prompt, err := e.prompt(r)
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
func (e *Engine) prompt(r openai.Request) ([]int32, error) {
	text, special := r.Prompt, false
	if len(r.Messages) > 0 {
		list := make([]template.Message, len(r.Messages))
		for i, m := range r.Messages {
			list[i] = template.Message(m)
		}
		var err error
		if text, err = e.chat.Render(list); err != nil {
			return nil, ops.Invalid("messages", "%w", err)
		}
		special = true
	}
	tokens := e.tokens.Encode(text, true, special)
	if bos, ok := e.tokens.BOS(); ok && len(tokens) > 1 && tokens[0] == bos && tokens[1] == bos {
		tokens = tokens[1:] // the template wrote one itself
	}
	switch {
	case len(tokens) == 0:
		return nil, ops.Invalid("prompt", "is empty")
	case len(tokens) >= e.context:
		return nil, ops.Invalid("prompt", "is %d tokens long, and the context holds %d with the answer", len(tokens), e.context).
			WithHint("shorten it, or load the model with a longer --context-length")
	}
	return tokens, nil
}
