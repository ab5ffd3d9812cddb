package access

import (
	"time"

	"golang.org/x/time/rate"
)

// limits hold a key to its rates. A minute's worth may be used at once; from
// then on as much as flows back.
type limits struct {
	requests, tokens *rate.Limiter // nil is no limit
}

func newLimits(requests, tokens int) limits {
	perMinute := func(n int) *rate.Limiter {
		if n == 0 {
			return nil
		}
		return rate.NewLimiter(rate.Limit(float64(n)/60), n)
	}
	return limits{perMinute(requests), perMinute(tokens)}
}

// take counts a request that begins. It returns how long to wait where there is
// none left, or no tokens, and what ran out; the request counts for nothing then.
func (l limits) take(now time.Time) (wait time.Duration, of string) {
	if l.tokens != nil {
		// Tokens are counted when an answer has ended, so they may be owed.
		if have := l.tokens.TokensAt(now); have < 1 {
			return time.Duration((1 - have) / float64(l.tokens.Limit()) * float64(time.Second)), "tokens"
		}
	}
	if l.requests == nil || l.requests.AllowN(now, 1) {
		return 0, ""
	}
	missing := 1 - l.requests.TokensAt(now)
	return max(time.Duration(missing/float64(l.requests.Limit())*float64(time.Second)), time.Millisecond), "requests"
}

// spend counts an answer's tokens, if need be as owed.
func (l limits) spend(now time.Time, n int) {
	if l.tokens == nil {
		return
	}
	for most := l.tokens.Burst(); n > 0; n -= most { // a reservation is at most a burst
		l.tokens.ReserveN(now, min(n, most))
	}
}
