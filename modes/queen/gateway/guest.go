package gateway

import (
	"context"
	"slices"
	"time"

	"rbee.dev/rbee/ops"
)

// Guest is whose request the gateway answers, where that matters.
type Guest interface {
	// May refuses a model by its own name; "" is whichever suits.
	May(model string) error
	// Used is told what an answer has cost, once it has ended.
	Used(u Use)
}

// Use is what one request has used.
type Use struct {
	Model               string // "" where there is none of the name that was asked for
	TokensIn, TokensOut int    // of the prompt and of the answer
	Estimated           bool   // the engine told no counts
	Failed              bool   // the answer was an error, or broke off by one
	Took                time.Duration
}

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
