package builtin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/builtin/kernel"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/openai"
	"rbee.dev/rbee/inference/template"
	"rbee.dev/rbee/inference/tokenizer"
	"rbee.dev/rbee/ops"
)

// Engine is a model, loaded and ready.
type Engine struct {
	tokens    *tokenizer.Tokenizer
	chat      *template.Template
	pool      *pool
	scheduler *scheduler
	slots     int
	width     int // of a token's vector
	context   int // tokens a request may hold
	longest   int // tokens the model was made for
	close     func() error
	handler   http.Handler
}

var _ inference.Engine = (*Engine)(nil)

// Open loads the model and returns when it can answer. A model that it cannot
// run is refused with an error of code unsupported that says why.
func Open(ctx context.Context, spec inference.Spec) (_ *Engine, err error) {
	if spec.Device != "" && spec.Device != "auto" && spec.Device != "cpu" {
		return nil, ops.Errorf(ops.CodeUnsupported, "the builtin engine runs on the cpu only, not on %q", spec.Device)
	}
	file, err := gguf.OpenWhole(spec.ModelPath)
	if err != nil {
		return nil, fmt.Errorf("open the model: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	e := &Engine{}
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
	e.longest = m.context
	if e.context, err = contextLength(spec.ContextLength, e.longest); err != nil {
		return nil, err
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	e.start(m, spec)
	e.handler = openai.NewHandler(spec.ModelID, e)
	e.close = sync.OnceValue(func() error {
		e.scheduler.close()
		e.pool.close()
		return file.Close()
	})
	return e, nil
}

// start gets the threads and the scheduler going.
func (e *Engine) start(m *model, spec inference.Spec) {
	threads := spec.Threads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	e.slots, e.width = spec.Parallel, m.width
	if e.slots <= 0 {
		e.slots = inference.DefaultParallel
	}
	e.pool = newPool(threads)
	e.scheduler = newScheduler(newRunner(m, e.pool), e.slots, e.context, e.tokens.IsEnd)
	e.scheduler.start()
}

func chatTemplate(f *gguf.File, t *tokenizer.Tokenizer) (*template.Template, error) {
	text := func(id int32, ok bool) string {
		if !ok {
			return ""
		}
		return t.Text(id)
	}
	return template.Parse(chatSource(f), text(t.BOS()), text(t.EOS()))
}

// chatSource is the file's own chat template, or the usual one.
func chatSource(f *gguf.File) string {
	if source, ok := f.String("tokenizer.chat_template"); ok {
		return source
	}
	return template.ChatML
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
func (e *Engine) Slots() int { return e.slots }

// ContextLength is how many tokens each request may hold.
func (e *Engine) ContextLength() int { return e.context }

// Close ends what runs, which then fails as unavailable, and gives the model up.
func (e *Engine) Close() error { return e.close() }
