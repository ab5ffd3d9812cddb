package access

import (
	"rbee.dev/rbee/modes/queen/gateway"
	"rbee.dev/rbee/ops"
)

// guest is whose request the gateway answers, or whose job runs.
type guest struct {
	access *Access
	key    *key // nil where there is none
	id     string
	held   int // tokens that the request may use
}

var _ gateway.Guest = (*guest)(nil)

// May refuses models that the key is not for, by the name that is given.
func (g *guest) May(model string) error {
	if g.key == nil {
		return nil
	}
	return g.key.mayUse(model, g.access.Model)
}

// Reserve holds the tokens that the request may use, until it is told what it has
// used. It refuses where the key has none left.
func (g *guest) Reserve(tokens int) error {
	if g.key == nil {
		return nil
	}
	now := g.access.Now()
	held, wait := g.key.tokens.hold(now, tokens)
	if wait > 0 {
		return gateway.LaterError{Err: g.key.usedUp("tokens", g.key.TokensPerMinute, wait), After: wait}
	}
	g.held = held
	return nil
}

// Refused takes the request back, for which nothing was done.
func (g *guest) Refused() {
	if g.key != nil {
		g.key.requests.back(g.access.Now())
	}
}

// Used counts what the request has used.
func (g *guest) Used(u gateway.Use) {
	now := g.access.Now()
	if g.key != nil {
		g.key.tokens.settle(now, g.held, u.TokensIn+u.TokensOut)
		g.held = 0
	}
	g.access.ledger.add(entry{minute: now.Unix() / 60, key: g.id, model: u.Model}, sums{
		requests: 1, errors: one(u.Failed), in: int64(u.TokensIn), out: int64(u.TokensOut), estimated: one(u.Estimated), took: u.Took,
	})
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Guest is whose job it is that was submitted with the key by; "" is the token.
func (a *Access) Guest(by string) gateway.Guest {
	if by == "" {
		return &guest{access: a, id: ops.ByToken}
	}
	return &guest{access: a, key: a.keys.byID(by), id: by}
}
