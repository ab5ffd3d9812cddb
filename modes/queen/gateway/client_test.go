package gateway

import (
	"net/http/httptest"
	"testing"
)

func TestARequestIsItsKeysElseItsMachines(t *testing.T) {
	for _, tt := range []struct{ name, key, remote, want string }{
		{"with a key", "k1", "10.0.0.7:4711", "k1"},
		{"without", "", "10.0.0.7:4711", "10.0.0.7"},
		{"IPv6", "", "[::1]:4711", "::1"},
		{"no port", "", "pipe", "pipe"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/v1/completions", nil)
			r.RemoteAddr = tt.remote
			if tt.key != "" {
				r = r.WithContext(WithClient(r.Context(), tt.key))
			}
			if got := clientOf(r); got != tt.want {
				t.Errorf("it is %q's, want %q", got, tt.want)
			}
			if got := ClientOf(r.Context()); got != tt.key {
				t.Errorf("the context names %q, want %q", got, tt.key)
			}
		})
	}
}
