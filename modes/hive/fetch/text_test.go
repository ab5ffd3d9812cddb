package fetch_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

func TestATextComesOrSaysWhyNot(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/short", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("b11669\n")) })
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1000)) })
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/html") })
	mux.HandleFunc("/untyped", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		_, _ = w.Write([]byte("\n<!doctype html><title>Sign in</title>"))
	})
	mux.HandleFunc("/denied", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	mux.HandleFunc("/busy", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	f := newFetcher(t, quick())
	if text, err := f.Text(t.Context(), fetch.File{URL: s.URL + "/short"}, 100); err != nil || string(text) != "b11669\n" {
		t.Errorf("got %q, %v", text, err)
	}
	for path, want := range map[string]struct {
		code ops.Code
		says string
	}{
		"/long":    {ops.CodeUnavailable, "longer than 100 bytes"},
		"/page":    {ops.CodeUnavailable, "is a web page, not a list"},
		"/untyped": {ops.CodeUnavailable, "is a web page, not a list"},
		"/none":    {ops.CodeNotFound, "there is nothing at"},
		"/denied":  {ops.CodeDenied, "403"},
		"/busy":    {ops.CodeUnavailable, "429"},
	} {
		_, err := f.Text(t.Context(), fetch.File{URL: s.URL + path, Kind: "list"}, 100)
		wantCode(t, err, want.code)
		if !strings.Contains(err.Error(), want.says) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestATextIsAskedForAgainWhereTheServerWantsAMomentsPeace(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		_, _ = w.Write([]byte("b11669"))
	}))
	t.Cleanup(s.Close)
	text, err := newFetcher(t, quick()).Text(t.Context(), fetch.File{URL: s.URL}, 100)
	if err != nil || string(text) != "b11669" || asked.Load() != 2 {
		t.Errorf("got %q, %v, after %d requests", text, err, asked.Load())
	}
}
