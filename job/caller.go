package job

import (
	"context"
	"net/http"
	"time"

	"rbee.dev/rbee/ops"
)

// Caller is who a request comes from. The zero Caller may do everything.
type Caller struct {
	// ID is noted with each job that the caller starts, or "".
	ID string
	// Own leaves the caller only those jobs that it started itself; others do
	// not exist for it.
	Own bool
	// May refuses operations; nil takes all.
	May func(ops.Op) error
}

type callerKey struct{}

// WithCaller returns a context whose request is c's.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

func callerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// sees reports whether the caller is told of j at all.
func (c Caller) sees(j *job) bool { return !c.Own || j.by == c.ID }

// Refusal is an error with a status that its code alone does not give.
type Refusal struct {
	// Status is the answer's, as 401 or 429.
	Status int
	// After is when it is worth trying again, as the answer's Retry-After; 0
	// tells nothing.
	After time.Duration
	// Failure is what the answer's body says.
	Failure *ops.Error
}

// Error is the failure's text.
func (r Refusal) Error() string { return r.Failure.Error() }

// Unwrap is the failure, so that its code and hint are found.
func (r Refusal) Unwrap() error { return r.Failure }

// announce sets the headers that go with a refusal.
func (r Refusal) announce(h http.Header) {
	if r.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if r.After > 0 {
		h.Set("Retry-After", seconds(r.After))
	}
}
