package hive

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

func TestOverTCPOnlyTheMachinesOwnNamesAreServed(t *testing.T) {
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	h := overTCP("secret", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for host, want := range map[string]int{
		"127.0.0.1:7834": 204, "10.0.0.7": 204, "[fe80::1]:7834": 204, "localhost:7834": 204,
		strings.ToUpper(own) + ":7834": 204, own + ".local": 204,
		"evil.example": 403, "evil.example:7834": 403, own + ".evil.example": 403, "": 403,
	} {
		r := httptest.NewRequest(http.MethodPost, "/v1/jobs", http.NoBody)
		r.Host = host
		r.Header.Set("Authorization", "Bearer secret")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
	}
}
