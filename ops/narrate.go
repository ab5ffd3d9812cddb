package ops

import (
	"context"
	"fmt"
	"time"
)

// Sink takes what running work says. A job is one; it travels in the context,
// so that any package can narrate and none needs a channel handed down.
type Sink interface {
	// JobID is the id of the job that the work belongs to.
	JobID() string
	// Emit appends e to the job's log. It does not wait for readers.
	Emit(e Event)
	// Mark appends e, which came from another daemon's job, together with
	// where it stood there.
	Mark(e Event, at Cursor)
	// Cursor is where forwarding has got to: the newest Mark, also of a
	// process that has ended since. It is zero for a job never forwarded.
	Cursor() Cursor
}

// Cursor says how far a forwarded job has been followed.
type Cursor struct {
	Target string `json:"target"` // who does it: a hive or worker id
	JobID  string `json:"job_id"` // the job there
	Last   uint64 `json:"last"`   // id of the last event taken over; 0 is none
}

type (
	sinkKey   struct{}
	actorKey  struct{}
	callerKey struct{}
	turnKey   struct{}
)

// WithSink returns a context whose narration goes to s.
func WithSink(ctx context.Context, s Sink) context.Context {
	return context.WithValue(ctx, sinkKey{}, s)
}

// SinkOf returns the context's sink, or nil when no job is running.
func SinkOf(ctx context.Context) Sink {
	s, _ := ctx.Value(sinkKey{}).(Sink)
	return s
}

// WithCaller returns a context of work that the API key with the id has asked
// for; "" is the daemon's own token.
func WithCaller(ctx context.Context, id string) context.Context {
	if id == "" {
		return ctx
	}
	return context.WithValue(ctx, callerKey{}, id)
}

// CallerOf is the id of the API key that asked for the context's work, or "".
func CallerOf(ctx context.Context) string {
	id, _ := ctx.Value(callerKey{}).(string)
	return id
}

// WithTurn returns a context whose work tells turn that it waits for its turn, and
// with false that it has got it.
func WithTurn(ctx context.Context, turn func(waits bool)) context.Context {
	return context.WithValue(ctx, turnKey{}, turn)
}

// Waits tells the context's job that its work waits for its turn, or with false that
// it runs. Without a job it does nothing.
func Waits(ctx context.Context, waits bool) {
	if turn, ok := ctx.Value(turnKey{}).(func(bool)); ok {
		turn(waits)
	}
}

// As returns a context in which actor (queen, hive, worker) speaks.
func As(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

func actor(ctx context.Context) string {
	a, _ := ctx.Value(actorKey{}).(string)
	return a
}

// Emit hands e to the context's job. Without a job it does nothing.
func Emit(ctx context.Context, e Event) {
	if s := SinkOf(ctx); s != nil {
		s.Emit(e)
	}
}

// Narrate tells a person what is happening. The action is a stable snake_case
// word, the sentence is formatted as by fmt. Without a job it does nothing.
func Narrate(ctx context.Context, action, format string, args ...any) {
	narrate(ctx, LevelInfo, action, format, args)
}

// Warn is [Narrate] at level warn: the work goes on, but a person should know.
func Warn(ctx context.Context, action, format string, args ...any) {
	narrate(ctx, LevelWarn, action, format, args)
}

func narrate(ctx context.Context, level, action, format string, args []any) {
	s := SinkOf(ctx)
	if s == nil {
		return
	}
	s.Emit(NarrationEvent{
		Actor: actor(ctx), Action: action, Human: fmt.Sprintf(format, args...), Level: level, At: time.Now().UTC(),
	})
}

// Progress reports how far an action has come; total is 0 when unknown.
// Without a job it does nothing.
func Progress(ctx context.Context, action string, done, total int64, unit string) {
	if s := SinkOf(ctx); s != nil {
		s.Emit(ProgressEvent{Actor: actor(ctx), Action: action, Done: done, Total: total, Unit: unit})
	}
}
