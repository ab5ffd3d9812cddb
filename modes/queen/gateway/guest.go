package gateway

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"rbee.dev/rbee/ops"
)

// Guest is whose request the gateway answers, where that matters.
type Guest interface {
	// May refuses a model; "" is whichever suits.
	May(model string) error
	// Told is an error as the guest may be told it.
	Told(err error) error
	// Words are what happens as the guest may be told it.
	Words(text string) string
	// Reserve holds as many tokens as the request may use, or refuses it: by a
	// [LaterError] where that is a matter of time. It is called before the request
	// is answered, and Used after it.
	Reserve(tokens int) error
	// Refused is told that the request was refused before anything was done for it.
	Refused()
	// Used is told what an answer has cost, once it has ended.
	Used(u Use)
}

// Use is what one request has used.
type Use struct {
	Model               string // that has answered; "" where none has, and none is called as was asked
	TokensIn, TokensOut int    // of the prompt and of the answer
	Estimated           bool   // the engine told no counts
	Failed              bool   // the answer was an error, or broke off by one
	Took                time.Duration
}

// LaterError refuses what may be asked again.
type LaterError struct {
	Err   error
	After time.Duration // when that is worth it
}

// Error is the text of what it wraps.
func (e LaterError) Error() string { return e.Err.Error() }

// Unwrap is why.
func (e LaterError) Unwrap() error { return e.Err }

type guestKey struct{}

// WithGuest returns a context of a request that is g's.
func WithGuest(ctx context.Context, g Guest) context.Context {
	return context.WithValue(ctx, guestKey{}, g)
}

func guestOf(ctx context.Context) Guest {
	g, _ := ctx.Value(guestKey{}).(Guest)
	return g
}

// permits refuses a model that the context's guest may not use.
func permits(ctx context.Context, model string) error {
	if g := guestOf(ctx); g != nil {
		return g.May(model)
	}
	return nil
}

// told is err as the context's guest may be told it.
func told(ctx context.Context, err error) error {
	if g := guestOf(ctx); g != nil {
		return g.Told(err)
	}
	return err
}

// refuseFor refuses a request before anything was done for it: it does not count.
func refuseFor(ctx context.Context, w http.ResponseWriter, err error) {
	if g := guestOf(ctx); g != nil {
		g.Refused()
	}
	fail(w, err)
}

// UsualAnswer is how many tokens an answer is taken to have where the request sets
// no bound.
const UsualAnswer = 512

// reserve holds what a request may use: what its size tells of its prompt, and the
// answers that it wants.
func reserve(r *http.Request, a asked, size int) error {
	g := guestOf(r.Context())
	if g == nil {
		return nil
	}
	answer := 0
	if makesText(r.URL.Path) {
		answer = cmp.Or(a.most, UsualAnswer) * max(a.choices, 1)
	}
	return g.Reserve(min(PromptTokens(size)+answer, mostTokens))
}

// PromptTokens is about how many tokens a prompt of so many bytes has.
func PromptTokens(bytes int) int { return bytes / tokenBytes }

// makesText reports whether the answer of a route is text.
func makesText(path string) bool {
	return path == "/v1/chat/completions" || path == "/v1/completions" || path == "/v1/responses"
}

// permitted is a fleet of which guests see only the models that they may use.
type permitted struct{ Fleet }

// Models lists the models of the context's guest.
func (p permitted) Models(ctx context.Context) []ops.Model {
	all := p.Fleet.Models(ctx)
	if guestOf(ctx) == nil {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(m ops.Model) bool { return permits(ctx, m.ID) != nil })
}
