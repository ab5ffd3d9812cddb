package gateway

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

func TestABodyThatCannotBeTakenIsToldInTheDialectsWords(t *testing.T) {
	f := newFarm(t)
	for _, tt := range []struct{ path, body, want string }{
		{"/v1/messages", `{"max_tokens":"5"}`, "max_tokens: must be a whole number, got a text"},
		{"/v1/messages", `{"max_tokens":1.5}`, "max_tokens: must be a whole number, got 1.5"},
		{"/v1/messages", `{"max_tokens":5,"system":5}`, "system: must be a text or a list of blocks, got a number"},
		{"/v1/messages", `{"max_tokens":5,"messages":{}}`, "messages: must be a list, got an object"},
		{"/v1/messages", `{"max_tokens":5,"messages":[{"role":[]}]}`, "messages.role: must be a text, got a list"},
		{"/v1/messages", `{"max_tokens":5,"temperature":true}`, "temperature: must be a number, got true or false"},
		{"/v1/messages", `{"max_tokens"`, "the body is not JSON (byte 13)"},
		{"/v1/messages", ``, "the body is not JSON (byte 0)"},
		{"/v1/messages", `[]`, "the body is not a JSON object"},
		{"/api/chat", `{"stream":"no"}`, "stream: must be true or false, got a text"},
		{"/api/chat", `{"options":[]}`, "options: must be an object, got a list"},
		{"/api/embed", `{"model":7}`, "model: must be a text, got a number"},
	} {
		status, _, text := f.ask(tt.path, tt.body)
		if status != http.StatusBadRequest || !strings.Contains(text, tt.want) || strings.Contains(text, "Go ") {
			t.Errorf("%s %s: %d %s, want %s", tt.path, tt.body, status, text, tt.want)
		}
	}
}

func TestABodyThatIsTooLargeHasAStatusOfItsOwn(t *testing.T) {
	f := newFarm(t)
	for path, kind := range map[string]string{"/v1/completions": "invalid_request_error", "/v1/messages": "request_too_large", "/api/chat": ""} {
		r := httptest.NewRequest(http.MethodPost, path, io.LimitReader(zeros{}, maxBody+1))
		w := httptest.NewRecorder()
		New(f, f.schedule).ServeHTTP(w, r)
		if text := w.Body.String(); w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(text, "larger than 64 MiB") || !strings.Contains(text, kind) {
			t.Errorf("%s: %d %s", path, w.Code, text)
		}
	}
}

// zeros is endless.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestWhatFailsBeforeAnythingWasSaidHasAStatus: Ollama's streams have no comments,
// so that waiting says nothing.
func TestWhatFailsBeforeAnythingWasSaidHasAStatus(t *testing.T) {
	f := newFarm(t)
	f.start = func(ctx context.Context, _ string) (ops.Worker, error) {
		ops.Narrate(ctx, "worker_start", "loading bee")
		return ops.Worker{}, ops.Errorf(ops.CodeUnavailable, "there is no room")
	}
	f.bring = func(context.Context, string) (ops.Model, error) { return ops.Model{}, nil }
	f.tell()
	for path, body := range map[string]string{
		"/api/chat":     `{"model":"bee","messages":[{"role":"user","content":"x"}]}`,
		"/api/generate": `{"model":"bee","prompt":"x"}`,
	} {
		status, header, text := f.ask(path, body)
		if status != http.StatusServiceUnavailable || header.Get("Content-Type") != "application/json" || header.Get("Retry-After") != "5" || !strings.Contains(text, `{"error":"`) || !strings.Contains(text, "no room") {
			t.Errorf("%s: %d %s %s", path, status, header.Get("Content-Type"), text)
		}
	}
}

func TestAnErrorInAStreamHasTheStatusOfItsCode(t *testing.T) {
	for said, want := range map[string]int{
		`"code":"model_not_found"`: 404, `"code":"rate_limit_exceeded"`: 429, `"code":"unavailable"`: 503, `"code":"internal"`: 500, `"code":"odd"`: 500, `"code":400`: 400,
		`"type":"invalid_request_error"`: 400,
	} {
		if got, _ := failureOf(transport.EngineError(0, []byte(`{"error":{"message":"no",`+said+`}}`))); got != want {
			t.Errorf("%s is %d", said, got)
		}
	}
}

func TestWhereNoModelIsNamedTheOneThatAnsweredIs(t *testing.T) {
	const whole = `{"id":"1","model":"bee","choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"data":[{"id":"bee","embedding":[1]}]}`
	const piece = `{"id":"1","model":"bee","choices":[{"delta":{"content":"hi"}}]}`
	for _, tt := range []struct {
		path, body string
		stream     bool
	}{
		{"/v1/messages", `{"max_tokens":5,"messages":[{"role":"user","content":"x"}]}`, false},
		{"/v1/messages", `{"max_tokens":5,"stream":true,"messages":[{"role":"user","content":"x"}]}`, true},
		{"/api/chat", `{"stream":false,"messages":[{"role":"user","content":"x"}]}`, false},
		{"/api/chat", `{"messages":[{"role":"user","content":"x"}]}`, true},
		{"/api/generate", `{"prompt":"x"}`, true},
		{"/api/embed", `{"input":"x"}`, false},
	} {
		f := newFarm(t)
		f.models = []ops.Model{{ID: "bee", Source: "file"}}
		says := whole
		if tt.stream {
			says = piece + "\n[DONE]"
		}
		asked := f.told(says, tt.stream)
		status, _, text := f.ask(tt.path, tt.body)
		if status != http.StatusOK || !strings.Contains(text, `"model":"bee"`) || strings.Contains(text, `"model":""`) {
			t.Errorf("%s %s: %d %s", tt.path, tt.body, status, text)
		}
		if strings.Contains(*asked, `"model"`) {
			t.Errorf("the engine is asked %s", *asked)
		}
	}
}

func TestAnEnginesServerHeaderStaysBehind(t *testing.T) {
	f := newFarm(t)
	f.add("w", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Server", "llama.cpp")
		w.Header().Set("X-Other", "kept")
		_, _ = io.WriteString(w, `{"choices":[{}]}`)
	})
	_, header, _ := f.ask("/v1/completions", `{"model":"bee"}`)
	if header.Get("Server") != "" || header.Get("X-Other") != "kept" {
		t.Errorf("the header is %v", header)
	}
}

func TestARouteThatThereIsNotIsRefusedInOpenAIsShape(t *testing.T) {
	w := httptest.NewRecorder()
	Refuse(w, httptest.NewRequest(http.MethodGet, "/v1/assistants", nil), http.StatusNotFound, ops.Errorf(ops.CodeNotFound, "there is no such route"))
	var e failure
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != 404 || !strings.Contains(e.Error.Message, "rbee has no /v1/assistants (there are chat/completions") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestARouteThatThereIsNotIsRefusedInOllamasShape, with the method that the one there is
// takes: one pattern stands for all of its routes.
func TestARouteThatThereIsNotIsRefusedInOllamasShape(t *testing.T) {
	for _, tt := range []struct {
		method, path string
		status       int
		want         string
	}{
		{http.MethodPut, "/api/chat", http.StatusMethodNotAllowed, `{"error":"rbee has no PUT /api/chat (ask by POST)"}`},
		{http.MethodGet, "/api", http.StatusNotFound, `{"error":"rbee has no GET /api (there are chat, generate, embed, embeddings, tags, show, ps and version)"}`},
	} {
		w := httptest.NewRecorder()
		Refuse(w, httptest.NewRequest(tt.method, tt.path, nil), tt.status, ops.Errorf(ops.CodeInvalid, "it is not there"))
		if w.Code != tt.status || w.Body.String() != tt.want {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, w.Code, w.Body)
		}
	}
}
