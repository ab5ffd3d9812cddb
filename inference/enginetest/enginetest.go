// Package enginetest is an engine for tests and measurements: it loads no
// model and makes text at a set pace, and it misbehaves on request. Everything
// above the text, the HTTP API included, is that of the real engines.
package enginetest

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/openai"
	"rbee.dev/rbee/ops"
)

// Options say how an engine behaves.
type Options struct {
	// Pace is the time from one piece of text to the next; 0 is none.
	Pace time.Duration
	// Pieces is how many pieces an answer has unless max_tokens says less; 0
	// means 16.
	Pieces int
	// Load is how long loading takes.
	Load time.Duration
	// LoadError, if set, is why loading fails.
	LoadError error
	// Exit replaces os.Exit, which ends the process for the word "die".
	Exit func(code int)
}

// The words in a prompt that make an engine misbehave, in the middle of its
// answer.
const (
	WordFail  = "!fail"  // the answer ends with an error
	WordPanic = "!panic" // the handler panics
	WordDie   = "!die"   // the process ends with status 3
	WordHang  = "!hang"  // no more text comes until the request is cancelled
)

// Engine is the engine.
type Engine struct {
	*openai.Handler
	options Options
	slots   chan struct{}
	context int

	mu        sync.Mutex
	cancelled int
}

var _ inference.Engine = (*Engine)(nil)

// Open returns an engine that behaves as o says.
func Open(ctx context.Context, s inference.Spec, o Options) (*Engine, error) {
	if o.Pieces == 0 {
		o.Pieces = 16
	}
	if o.Exit == nil {
		o.Exit = os.Exit
	}
	if err := sleep(ctx, o.Load); err != nil {
		return nil, err
	}
	if o.LoadError != nil {
		return nil, o.LoadError
	}
	e := &Engine{options: o, context: s.ContextLength}
	if e.context == 0 {
		e.context = inference.DefaultContextLength
	}
	parallel := s.Parallel
	if parallel == 0 {
		parallel = inference.DefaultParallel
	}
	e.slots = make(chan struct{}, parallel)
	e.Handler = openai.NewHandler(s.ModelID, e)
	return e, nil
}

// Slots is how many requests run at once.
func (e *Engine) Slots() int { return cap(e.slots) }

// ContextLength is what the spec said.
func (e *Engine) ContextLength() int { return e.context }

// Close does nothing: there is nothing to give up.
func (e *Engine) Close() error { return nil }

// Cancelled is how many requests were given up in their middle.
func (e *Engine) Cancelled() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cancelled
}

// Text is the answer of an engine that is asked for n pieces.
func Text(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(piece(i))
	}
	return b.String()
}

func piece(i int) string { return "w" + strconv.Itoa(i) + " " }

// Generate makes the pieces, one each Pace.
func (e *Engine) Generate(ctx context.Context, r openai.Request, emit func(string) error) (openai.Outcome, error) {
	prompt := r.Prompt
	for _, m := range r.Messages {
		prompt += m.Role + ": " + m.Content + "\n"
	}
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return openai.Outcome{}, context.Cause(ctx)
	}
	outcome := openai.Outcome{Finish: openai.FinishStop, PromptTokens: len(strings.Fields(prompt))}
	pieces := e.options.Pieces
	if r.MaxTokens > 0 && r.MaxTokens < pieces {
		pieces, outcome.Finish = r.MaxTokens, openai.FinishLength
	}
	for i := range pieces {
		if i == pieces/2 {
			if err := e.misbehave(ctx, prompt); err != nil {
				return outcome, err
			}
		}
		err := sleep(ctx, e.options.Pace)
		if err == nil {
			err = emit(piece(i))
		}
		if err != nil {
			e.mu.Lock()
			e.cancelled++
			e.mu.Unlock()
			return outcome, err
		}
		outcome.CompletionTokens++
	}
	return outcome, nil
}

// misbehave does what the prompt asks for.
func (e *Engine) misbehave(ctx context.Context, prompt string) error {
	switch {
	case strings.Contains(prompt, WordFail):
		return ops.Errorf(ops.CodeInternal, "the engine was asked to fail")
	case strings.Contains(prompt, WordPanic):
		panic("the engine was asked to panic")
	case strings.Contains(prompt, WordDie):
		fmt.Fprintln(os.Stderr, "fatal error: the engine was asked to die")
		e.options.Exit(3)
	case strings.Contains(prompt, WordHang):
		<-ctx.Done()
	}
	return nil
}

// sleep waits, or returns the cause of ctx when that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
