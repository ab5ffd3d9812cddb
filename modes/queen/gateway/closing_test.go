package gateway

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

// restarting is what a queen tells that another one takes the place of.
var restarting = LaterError{Err: ops.Errorf(ops.CodeUnavailable, "the queen is being restarted").WithHint("ask again"), After: time.Second}

// heldUp adds a worker that says something, with its answer's head where it is a
// stream, and no more until its client goes or the test ends. It returns what
// tells that it was asked.
func (f *farm) heldUp() <-chan struct{} {
	f.t.Helper()
	asked, end := make(chan struct{}, 10), make(chan struct{})
	f.t.Cleanup(func() { close(end) })
	f.add("w", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), `"stream":true`) {
			first := `{"id":"1","choices":[{"index":0,"text":"so","delta":{"content":"so"}}]}`
			if r.URL.Path == "/v1/responses" {
				first = `{"type":"response.created"}`
			}
			events(first)(w, r)
		}
		asked <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-end:
		}
	})
	return asked
}

func TestARequestThatTheQueenEndsIsToldSoInItsDialect(t *testing.T) {
	const message = "the queen is being restarted (ask again)"
	for name, tt := range map[string]struct {
		path, body, resume string
		status             int
		ends               string
	}{
		"a stream":                     {path: "/v1/chat/completions", body: streamed, status: 200, ends: `data: {"error":{"message":"` + message + `","type":"server_error","param":null,"code":"unavailable","hint":"ask again"}}` + "\n\n"},
		"one that could go on":         {path: "/v1/completions", body: `{"model":"bee","temperature":0,"stream":true}`, resume: "true", status: 200, ends: `"code":"unavailable","hint":"ask again"}}` + "\n\n"},
		"a stream of responses":        {path: "/v1/responses", body: streamed, status: 200, ends: `"message":"` + message + `","param":null,"sequence_number":0,"type":"error"}` + "\n\n"},
		"Anthropic's":                  {path: "/v1/messages", body: `{"model":"bee","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}`, status: 200, ends: "event: error\ndata: " + `{"error":{"message":"` + message + `","type":"api_error"},"type":"error"}` + "\n\n"},
		"Ollama's":                     {path: "/api/chat", body: `{"model":"bee","messages":[{"role":"user","content":"hi"}]}`, status: 200, ends: `{"error":"` + message + `"}` + "\n"},
		"in one piece":                 {path: "/v1/completions", body: `{"model":"bee"}`, status: 503, ends: `{"error":{"message":"` + message + `","type":"server_error","param":null,"code":"unavailable","hint":"ask again"}}` + "\n"},
		"in one piece, of Anthropic's": {path: "/v1/messages", body: `{"model":"bee","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, status: 503, ends: `{"error":{"message":"` + message + `","type":"overloaded_error"},"type":"error"}`},
		"in one piece, of Ollama's":    {path: "/api/generate", body: `{"model":"bee","prompt":"hi","stream":false}`, status: 503, ends: `{"error":"` + message + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			asked := f.heldUp()
			began, done := make(chan struct{}), make(chan struct{})
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.front.URL+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set(ResumeHeader, tt.resume)
			go func() {
				defer close(done)
				answer, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				defer answer.Body.Close()
				close(began)
				text, err := io.ReadAll(answer.Body)
				if answer.StatusCode != tt.status || err != nil || !strings.HasSuffix(string(text), tt.ends) {
					t.Errorf("%d, %v: %s", answer.StatusCode, err, text)
				}
				if after := answer.Header.Get("Retry-After"); tt.status == http.StatusServiceUnavailable && after != "1" {
					t.Errorf("Retry-After %q", after)
				}
			}()
			if <-asked; tt.status == http.StatusOK {
				<-began
			}
			f.gateway.End(t.Context(), restarting)
			<-done
		})
	}
}

func TestARequestThatWaitsIsToldWhenTheQueenEnds(t *testing.T) {
	f := full(t)
	f.gateway.End(t.Context(), restarting)
	if n := f.schedule.Waiting()["bee"]; n != 0 {
		t.Errorf("%d wait still", n)
	}
	if status, header, text := f.ask("/v1/completions", `{"model":"bee"}`); status != http.StatusServiceUnavailable || header.Get("Retry-After") != "1" {
		t.Errorf("one that comes late: %d %s", status, text)
	}
}

func TestAnswersThatAreBeingGivenMayEndFirst(t *testing.T) {
	f := newFarm(t)
	asked, end := make(chan struct{}), make(chan struct{})
	f.add("w", func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-end
		events("hello", "[DONE]")(w, r)
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if status, _, text := f.ask("/v1/completions", streamed); status != 200 || text != "data: hello\n\ndata: [DONE]\n\n" {
			t.Errorf("%d %q", status, text)
		}
	}()
	<-asked
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if n := f.gateway.Settle(over); n != 1 {
		t.Errorf("%d are being answered", n)
	}
	close(end)
	if n := f.gateway.Settle(t.Context()); n != 0 {
		t.Errorf("in the end %d are being answered", n)
	}
	<-done
}
