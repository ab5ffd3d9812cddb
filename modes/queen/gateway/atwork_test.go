package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAClientThatWaitsForTheFirstWordIsTold(t *testing.T) {
	const hello = `{"id":"1","choices":[{"delta":{"content":"hello"},"text":"hello","finish_reason":"stop"}]}`
	const told = ": worker a of gpu1 is at work, and has said nothing yet\n\n"
	ask := func(stream string) string {
		return `{"model":"bee",` + stream + `"max_tokens":9,"prompt":"hi","messages":[{"role":"user","content":"hi"}]}`
	}
	for name, headersFirst := range map[string]bool{"whose headers come late, too": false, "whose headers come at once": true} {
		for _, path := range []string{"/v1/completions", "/v1/chat/completions", "/v1/messages", "/api/generate"} {
			t.Run(name+path, func(t *testing.T) {
				f := newFarm(t)
				f.gateway.quietAfter = time.Millisecond
				f.add("a", func(w http.ResponseWriter, r *http.Request) {
					if w.Header().Set("Content-Type", "text/event-stream"); headersFirst {
						_ = http.NewResponseController(w).Flush()
					}
					time.Sleep(50 * time.Millisecond)
					events(hello, "[DONE]")(w, r)
				})
				status, header, text := f.ask(path, ask(`"stream":true,`))
				if status != 200 || !strings.Contains(text, "hello") || strings.Contains(text, "error") || header.Get("X-Rbee-Worker") != "a" {
					t.Errorf("%d %v %q", status, header, text)
				}
				if path != "/api/generate" && !strings.HasPrefix(text, told+told) { // whose streams have no comments
					t.Errorf("it is not told twice before the answer: %q", text)
				}
				if _, end, _ := strings.Cut(text, "hello"); strings.Contains(end, "at work") {
					t.Errorf("it is told after the answer has begun: %q", text)
				}
			})
		}
	}
	t.Run("not one who wants no stream", func(t *testing.T) {
		f := newFarm(t)
		f.gateway.quietAfter = time.Millisecond
		f.add("a", func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(20 * time.Millisecond)
			http.Error(w, "no", http.StatusBadRequest)
		})
		if status, _, text := f.ask("/v1/completions", ask("")); status != http.StatusBadRequest || strings.Contains(text, "at work") {
			t.Errorf("%d %q", status, text)
		}
	})
	t.Run("and of an error after that", func(t *testing.T) {
		f := newFarm(t)
		f.gateway.quietAfter = time.Millisecond
		f.add("a", func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(20 * time.Millisecond)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":{"message":"too long","type":"invalid_request_error","code":"invalid"}}`))
		})
		if status, _, text := f.ask("/v1/completions", ask(`"stream":true,`)); status != 200 || !strings.HasPrefix(text, told) || !strings.HasSuffix(text, "\n\ndata: {\"error\":{\"message\":\"too long\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"invalid\"}}\n\n") {
			t.Errorf("%d %q", status, text)
		}
	})
}
