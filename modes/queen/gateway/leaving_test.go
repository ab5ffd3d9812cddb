package gateway

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"rbee.dev/rbee/ops"
)

// leaver is a client that closes its connection as soon as it has read a word.
type leaver struct {
	*httptest.ResponseRecorder
	word  string
	leave context.CancelFunc
}

// Write takes a part of the answer.
func (l leaver) Write(p []byte) (int, error) {
	n, err := l.ResponseRecorder.Write(p)
	if bytes.Contains(p, []byte(l.word)) {
		l.leave()
	}
	return n, err
}

// leaves has a client ask that leaves at a word, and returns what is remembered of that
// and what v was counted.
func (f *farm) leaves(v *visitor, word, path, body string, header http.Header) (ops.Explanation, Use) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(WithGuest(f.t.Context(), v))
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(body))
	r.Header = header.Clone()
	r.Header.Set("Content-Type", "application/json")
	l := leaver{httptest.NewRecorder(), word, cancel}
	f.gateway.ServeHTTP(l, r)
	if ctx.Err() == nil {
		f.t.Fatalf("it never reads %s: %s", word, l.Body)
	}
	return f.over(l.Header()), v.last(f.t)
}

// TestHowAnAnswerEndedIsNotForgottenForAClientThatLeavesThen is of clients that close
// their connection at an answer's last event, while the engine keeps its stream open.
func TestHowAnAnswerEndedIsNotForgottenForAClientThatLeavesThen(t *testing.T) {
	const (
		said    = `{"id":"1","choices":[{"index":0,"text":"hel","delta":{"content":"hel"}}]}`
		last    = `{"id":"1","choices":[{"index":0,"text":"","delta":{},"finish_reason":"stop"}]}`
		failure = `{"error":{"message":"out of memory"}}`
		own     = `{"error":{"message":"too long","code":400}}`
		named   = "worker w of gpu1, which runs bee: "
		ended   = "the engine ended its answer with an error"
		body    = `{"model":"bee","stream":true,"max_tokens":9,"temperature":0,"prompt":"x","messages":[{"role":"user","content":"x"}]}`
	)
	open := func(pieces ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			bytesOf(pieces...)(w, r)
			<-r.Context().Done()
		}
	}
	data := func(list ...string) string { return "data: " + strings.Join(list, "\n\ndata: ") + "\n\n" }
	for name, tt := range map[string]struct {
		path, word string
		h          http.HandlerFunc
		resume     string
		ended      ops.Ended
		why        string
		failed     string // what is told of the worker
	}{
		"an error":                  {"/v1/completions", "out of memory", open(data(said, failure)), "", ops.EndedBroken, named + "out of memory", named + "out of memory"},
		"an error for Anthropic's":  {"/v1/messages", "out of memory", open(data(said, failure)), "", ops.EndedBroken, named + "out of memory", named + "out of memory"},
		"an error for Ollama's":     {"/api/chat", "out of memory", open(data(said, failure)), "", ops.EndedBroken, named + "out of memory", named + "out of memory"},
		"the request's own error":   {"/v1/completions", "too long", open(data(said, own)), "", ops.EndedBroken, ended + ": too long", ""},
		"that, where it may resume": {"/v1/completions", "too long", open(data(said, own)), "true", ops.EndedBroken, ended + ": too long", ""},
		"an error of responses":     {"/v1/responses", "out of memory", open("data: hel\n\n", "event: error\ndata: {\"type\":\"error\",\"message\":\"out of memory\"}\n\n"), "", ops.EndedBroken, named + "out of memory", named + "out of memory"},
		"a failed response":         {"/v1/responses", "response.failed", open("data: hel\n\n", "event: response.failed\ndata: {}\n\n"), "", ops.EndedBroken, ended, ""},
		"what broke off":            {"/v1/completions", "broke its answer off", bytesOf(data(said), "BREAK"), "", ops.EndedBroken, named + "it broke its answer off", named + "it broke its answer off"},
		"what none goes on with":    {"/v1/completions", "broke its answer off", bytesOf(data(said), "BREAK"), "true", ops.EndedBroken, named + "it broke its answer off", named + "it broke its answer off"},
		"a refusal":                 {"/v1/completions", "out of memory", boom(new(atomic.Int32), 500, failure), "", ops.EndedFailed, named + "out of memory", named + "out of memory"},
		"a finish":                  {"/v1/completions", "finish_reason", open(data(said, last)), "", ops.EndedDone, "", ""},
		"a finish that may resume":  {"/v1/completions", "finish_reason", open(data(said, last)), "true", ops.EndedDone, "", ""},
		"the middle":                {"/v1/completions", "hel", open(data(said)), "", ops.EndedGone, "", ""},
		"the middle, may resume":    {"/v1/completions", "hel", open(data(said)), "true", ops.EndedGone, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			f.add("w", tt.h)
			x, u := f.leaves(&visitor{model: "bee"}, tt.word, tt.path, body, http.Header{ResumeHeader: {tt.resume}})
			if x.Ended != tt.ended || !strings.HasPrefix(x.Error, tt.why) || tt.why == "" && x.Error != "" {
				t.Errorf("%q because of %q, want %q, %q", x.Ended, x.Error, tt.ended, tt.why)
			}
			if len(x.Decisions) == 0 || !strings.HasPrefix(x.Decisions[0].Failed, tt.failed) || tt.failed == "" && x.Decisions[0].Failed != "" {
				t.Errorf("of the worker it tells %+v, want %q", x.Decisions, tt.failed)
			}
			if u.Failed != (tt.why != "") {
				t.Errorf("counted as %+v", u)
			}
		})
	}
}
