package access

import (
	"time"

	"rbee.dev/rbee/modes/queen/gateway"
	"rbee.dev/rbee/ops"
)

// guest is whose request the gateway answers.
type guest struct {
	access *Access
	key    *key // nil where there is none
	id     string
}

var _ gateway.Guest = (*guest)(nil)

// May refuses models that the key is not for.
func (g *guest) May(model string) error {
	if g.key == nil {
		return nil
	}
	return g.key.mayUse(model)
}

// Used counts what the request has used.
func (g *guest) Used(u gateway.Use) {
	g.access.count(g.key, g.id, u.Model, sums{
		requests: 1, errors: one(u.Failed), in: int64(u.TokensIn), out: int64(u.TokensOut), estimated: one(u.Estimated), took: u.Took,
	})
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Answered counts a job that has made text; by is the id of the key that it was
// submitted with, "" for the token.
func (a *Access) Answered(by string, answer ops.Answer) {
	took := time.Duration(answer.DurationMS * float64(time.Millisecond))
	a.job(by, answer.Model, sums{requests: 1, in: int64(answer.PromptTokens), out: int64(answer.CompletionTokens), took: took})
}

// Failed counts a job that was to make text and has not, after so long.
func (a *Access) Failed(by, model string, took time.Duration) {
	a.job(by, model, sums{requests: 1, errors: 1, took: took})
}

func (a *Access) job(by, model string, s sums) {
	if by == "" {
		a.count(nil, byToken, model, s)
		return
	}
	a.count(a.keys.byID(by), by, model, s)
}

func (a *Access) count(k *key, id, model string, s sums) {
	now := a.Now()
	if k != nil {
		k.limits.spend(now, int(s.in+s.out))
	}
	a.ledger.add(entry{hour: now.Unix() / 3600, key: id, model: model}, s)
}
