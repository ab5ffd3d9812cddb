package access

import (
	"testing"
	"time"

	"rbee.dev/rbee/modes/queen/gateway"
	"rbee.dev/rbee/ops"
)

// BenchmarkAccess is what a request with one of a thousand keys costs: to be let
// in, and to be counted.
func BenchmarkAccess(b *testing.B) {
	all := make([]*key, 1000)
	secret := ""
	for i := range all {
		secret = ops.NewKeySecret()
		all[i] = newKey(ops.Key{ID: secret[8:16], Scopes: []ops.Scope{ops.ScopeInference}, RequestsPerMinute: 1e6, TokensPerMinute: 1e9}, digestOf(secret))
	}
	a := &Access{Options: Options{Now: time.Now}, routes: map[string]ops.Scope{}}
	a.Inference(chat)
	a.keys.set(all)
	r := request(chat, "Authorization", "Bearer "+secret)
	last := all[len(all)-1]
	last.requests, last.tokens = nil, nil // a benchmark asks more than a million times a minute
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Admit(r, chat); err != nil {
			b.Fatal(err)
		}
		(&guest{access: a, key: last, id: last.ID}).Used(gateway.Use{Model: "bee", TokensIn: 10, TokensOut: 20, Took: time.Second})
	}
}
