package llamacpp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/process"
	"rbee.dev/rbee/ops"
)

// Name is the program's.
const Name = "llama-server"

// Options say which program runs.
type Options struct {
	// Path is the program's file; "" takes the one of the Spec, or looks for it
	// (see [Find]).
	Path string
}

// Engine is a llama-server that has a model loaded.
type Engine struct {
	*process.Server
	slots   int
	context int
	folder  string // to remove at the end, or ""
}

var _ inference.Engine = (*Engine)(nil)

// Open starts llama-server and returns when it has loaded the model. A model
// or setting that it does not take is an error with its last lines.
func Open(ctx context.Context, s inference.Spec, o Options) (_ *Engine, err error) {
	program, err := Find(cmp.Or(o.Path, s.Program))
	if err != nil {
		return nil, err
	}
	m, err := inspect(s.ModelPath)
	if err != nil {
		return nil, err
	}
	args, err := arguments(s, m)
	if err != nil {
		return nil, err
	}
	folder, temporary, err := process.Folder(s.Folder)
	if err != nil {
		return nil, err
	}
	e := &Engine{}
	if temporary {
		e.folder = folder
	}
	socket := filepath.Join(folder, process.Socket)
	running := process.Options{Name: Name, File: m.path, Changed: s.Changed, Answer: s.Answer, Silence: within(s, s.Silence), Stall: within(s, s.Stall), Waits: s.Waits, Progress: "/slots"}
	running.Prepare = func(ctx context.Context) (process.Launch, error) {
		if err := os.RemoveAll(socket); err != nil { // a dead one's stays behind
			return process.Launch{}, fmt.Errorf("make room for the socket: %w", err)
		}
		l := process.Launch{
			Path: program, Args: append([]string{"--host", socket}, args...), Env: remember(s, environment(os.Environ(), program)),
			Network: "unix", Address: socket,
		}
		err := divide(ctx, s, &l)
		return l, err
	}
	if s.Parts != nil {
		running.Explain, running.Broken = s.Parts.Explain, s.Parts.Lost
	}
	e.Server, err = process.Start(ctx, running)
	if err == nil {
		err = e.learn(ctx, m)
	}
	if err != nil {
		return nil, errors.Join(attempt{program, m.path, s.Flags}.explain(ctx, err), e.Close())
	}
	return e, nil
}

// within is how long the program may do nothing that shows. One of a divided model
// has others compute, which cannot be seen here.
func within(s inference.Spec, d time.Duration) time.Duration {
	if s.Parts != nil {
		return 6 * d
	}
	return d
}

// mostTold bounds what the program tells of its properties: the chat template is one.
const mostTold = 8 << 20

// learn asks the program how it has divided its memory for a model.
func (e *Engine) learn(ctx context.Context, m model) error {
	answer, err := e.Get(ctx, "/props")
	if err != nil {
		return fmt.Errorf("ask %s for its properties: %w", Name, err)
	}
	defer answer.Body.Close()
	var props struct {
		TotalSlots int `json:"total_slots"`
		Settings   struct {
			Context int `json:"n_ctx"`
		} `json:"default_generation_settings"`
	}
	if answer.StatusCode != http.StatusOK {
		return ops.Errorf(ops.CodeUnsupported, "%s does not tell its properties: %s", Name, answer.Status)
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, mostTold)).Decode(&props); err != nil {
		return fmt.Errorf("read the properties of %s: %w", Name, err)
	}
	e.slots, e.context = props.TotalSlots, props.Settings.Context
	if e.context < 0 { // it counts in 32 bits
		return ops.Errorf(ops.CodeUnsupported, "%s: the file tells of a longer context than %s can count", m.path, Name).
			WithHint("`--flag override-kv=%s.context_length=int:%d` runs it as one that was made for so many tokens", m.architecture, inference.DefaultContextLength)
	}
	if e.slots < 1 || e.context < 1 {
		return ops.Errorf(ops.CodeUnsupported, "%s tells of %d slots and %d tokens", Name, e.slots, e.context)
	}
	return nil
}

// Slots is how many requests run at once.
func (e *Engine) Slots() int { return e.slots }

// ContextLength is how many tokens each request may hold.
func (e *Engine) ContextLength() int { return e.context }

// Close ends the program and waits until it is gone.
func (e *Engine) Close() error {
	var err error
	if e.Server != nil {
		err = e.Server.Close()
	}
	if e.folder != "" {
		err = errors.Join(err, os.RemoveAll(e.folder))
	}
	return err
}
