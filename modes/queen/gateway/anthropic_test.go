package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAnthropicsToolsComeAsBlocks(t *testing.T) {
	f := newFarm(t)
	f.told(aCall, true)
	_, _, text := f.ask("/v1/messages", `{"model":"bee","max_tokens":9,"stream":true,"messages":[]}`)
	for _, want := range []string{
		`"content_block":{"text":"","type":"text"},"index":0`, `"index":0,"type":"content_block_stop"`,
		`"content_block":{"id":"c1","input":{},"name":"f","type":"tool_use"},"index":1`, `"partial_json":"{\"a\"","type":"input_json_delta"},"index":1`,
		`"partial_json":":1}"`, `"index":1,"type":"content_block_stop"`, `"stop_reason":"tool_use"`, `"type":"message_stop"`,
	} {
		_, rest, ok := strings.Cut(text, want)
		if !ok {
			t.Fatalf("%s is missing, or not in its place: %s", want, text)
		}
		text = rest
	}
}

func TestAnthropicsCountAsksForOneToken(t *testing.T) {
	f := newFarm(t)
	body := f.told(anAnswer, false)
	_, _, text := f.ask("/v1/messages/count_tokens", `{"model":"bee","messages":[{"role":"user","content":"hi"}]}`)
	same(t, "the count", text, `{"input_tokens":3}`)
	if !strings.Contains(*body, `"max_tokens":1`) {
		t.Errorf("asked is %s", *body)
	}
}

func TestAnthropicsClientsListModelsInTheirShape(t *testing.T) {
	f := newFarm(t)
	header := http.Header{"Anthropic-Version": {"2023-06-01"}}
	_, _, text := f.send(http.MethodGet, "/v1/models", "", header)
	if !strings.Contains(text, `"has_more":false`) || !strings.Contains(text, `{"type":"model","id":"bee","display_name":"bee"`) {
		t.Errorf("the list: %s", text)
	}
	if _, _, text = f.send(http.MethodGet, "/v1/models/bee", "", header); !strings.HasPrefix(text, `{"type":"model","id":"bee"`) {
		t.Errorf("one: %s", text)
	}
	if status, _, text := f.send(http.MethodGet, "/v1/models/bea", "", header); status != 404 || !strings.Contains(text, `"type":"not_found_error"`) {
		t.Errorf("none: %d %s", status, text)
	}
}

func TestARefusalHasTheKindOfItsStatus(t *testing.T) {
	for status, want := range map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large",
		429: "rate_limit_error", 500: "api_error", 504: "timeout_error",
	} {
		f := newFarm(t)
		f.add("w", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			kind := map[bool]string{true: "invalid_request_error", false: "server_error"}[status < 500]
			_, _ = io.WriteString(w, `{"error":{"message":"no","type":"`+kind+`"}}`)
		})
		got, _, text := f.ask("/v1/messages", `{"model":"bee","max_tokens":9,"messages":[]}`)
		if got != status {
			t.Errorf("%d became %d", status, got)
		}
		same(t, "the error", text, `{"type":"error","error":{"type":"`+want+`","message":"no"}}`)
	}
}
