package transport_test

import (
	"net/http"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

func TestWhoseFaultAnEnginesErrorIs(t *testing.T) {
	for status, want := range map[int]ops.Code{
		307: ops.CodeInternal, 400: ops.CodeInvalid, 401: ops.CodeInternal, 403: ops.CodeInternal, 404: ops.CodeInternal, 405: ops.CodeInternal,
		407: ops.CodeInternal, 409: ops.CodeInternal, 413: ops.CodeInvalid, 415: ops.CodeInvalid, 418: ops.CodeInternal, 422: ops.CodeInvalid,
		429: ops.CodeBusy, 500: ops.CodeInternal, 501: ops.CodeUnsupported, 502: ops.CodeInternal, 503: ops.CodeBusy, 504: ops.CodeInternal, 529: ops.CodeBusy,
	} {
		for _, body := range []string{"", "words", `{"error":{"message":"no","type":"invalid_request_error","code":"odd"}}`, `{"error":{"message":"no","code":13}}`} {
			if got := transport.EngineError(status, []byte(body)).Code; got != want {
				t.Errorf("%d with %q is %s, want %s", status, body, got, want)
			}
		}
	}
}

func TestWhatAnEngineSaysInsteadOfAnAnswerIsRead(t *testing.T) {
	long := strings.Repeat("x", 299)
	for name, tt := range map[string]struct {
		status int
		body   string
		code   ops.Code
		want   string // with the field before it
		hint   string
	}{
		"as OpenAI has it":                    {500, `{"error":{"message":"boom","type":"server_error","param":null,"code":null}}`, ops.CodeInternal, "boom", ""},
		"with a status for its code":          {0, `{"error":{"message":"boom","code":400}}`, ops.CodeInvalid, "boom", ""},
		"with a status of its own":            {0, `{"error":{"message":"boom","type":"server_error","code":503}}`, ops.CodeBusy, "boom", ""},
		"of a kind":                           {0, `{"error":{"message":"boom","type":"invalid_request_error"}}`, ops.CodeInvalid, "boom", ""},
		"of a part of the request":            {400, `{"error":{"message":"too long","param":"messages"}}`, ops.CodeInvalid, "messages: too long", ""},
		"of a part that it names":             {400, `{"error":{"message":"messages: too long","param":"messages"}}`, ops.CodeInvalid, "messages: too long", ""},
		"of a part that it names otherwise":   {400, `{"error":{"message":"max_tokens is too large","param":"max_tokens"}}`, ops.CodeInvalid, "max_tokens is too large", ""},
		"of a part that is no name":           {400, `{"error":{"message":"boom","param":3}}`, ops.CodeInvalid, "boom", ""},
		"of a worker of rbee's":               {503, `{"error":{"message":"it ended (ask again)","code":"unavailable","hint":"ask again"}}`, ops.CodeUnavailable, "it ended", "ask again"},
		"of rbee's in a stream":               {0, `{"error":{"message":"it ended","code":"unavailable"}}`, ops.CodeUnavailable, "it ended", ""},
		"of a route that rbee's has not":      {404, `{"error":{"message":"no such","code":"not_found"}}`, ops.CodeInternal, "no such", ""},
		"of a model that the queen has not":   {0, `{"error":{"message":"no bee","code":"model_not_found"}}`, ops.CodeNotFound, "no bee", ""},
		"of a queue that is full":             {0, `{"error":{"message":"full","code":"rate_limit_exceeded"}}`, ops.CodeBusy, "full", ""},
		"of a key that the queen has not":     {0, `{"error":{"message":"no key","type":"invalid_request_error","code":"invalid_api_key"}}`, ops.CodeDenied, "no key", ""},
		"of a key that it wants":              {401, `{"error":"no key"}`, ops.CodeInternal, "no key", "its engine wants a key of its own: spawn it so that it wants none"},
		"as Ollama has it":                    {500, `{"error":"boom"}`, ops.CodeInternal, "boom", ""},
		"as Anthropic has it":                 {529, `{"type":"error","error":{"type":"overloaded_error","message":"boom"}}`, ops.CodeBusy, "boom", ""},
		"as vLLM had it":                      {400, `{"object":"error","message":"too long","type":"BadRequestError","code":400}`, ops.CodeInvalid, "too long", ""},
		"as vLLM had it, in a stream":         {0, `{"object":"error","message":"too long","type":"BadRequestError","code":400}`, ops.CodeInvalid, "too long", ""},
		"as FastAPI has it":                   {404, `{"detail":"Not Found"}`, ops.CodeInternal, "Not Found", ""},
		"as FastAPI has it, of what is wrong": {422, `{"detail":[{"loc":["body","messages",0],"msg":"field required"},{"loc":["body"],"msg":"odd"}]}`, ops.CodeInvalid, "body.messages.0: field required; body: odd", ""},
		"by a page":                           {503, "\n<html><head><title>oops</title></head>\n<p>later</p></html>", ops.CodeBusy, "oops later", ""},
		"by a page without words":             {503, "<html></html>", ops.CodeBusy, "the engine answers 503 Service Unavailable", ""},
		"in words":                            {413, "too\n large ", ops.CodeInvalid, "too large", ""},
		"in many words":                       {500, long + "\u00e9 and more", ops.CodeInternal, long, ""},
		"by a status":                         {418, "", ops.CodeInternal, "the engine answers 418 I'm a teapot", ""},
		"by a status that nobody knows":       {599, " ", ops.CodeInternal, "the engine answers 599", ""},
		"not at all":                          {0, "", ops.CodeInternal, "the engine has failed, and does not say why", ""},
		"by a number":                         {0, `{"error":7}`, ops.CodeInternal, `{"error":7}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if e := transport.EngineError(tt.status, []byte(tt.body)); e.Code != tt.code || e.Error() != tt.want || e.Hint != tt.hint {
				t.Errorf("%s: %v (%s), want %s: %s (%s)", e.Code, e, e.Hint, tt.code, tt.want, tt.hint)
			}
		})
	}
}

func TestAnErrorWithoutTheStatusOfOneIsKnown(t *testing.T) {
	for body, want := range map[string]bool{
		`{"error":{"message":"boom"}}`: true, `{"error" : "boom"}`: true, `{"error":{}}`: true, `{"type":"error","message":"boom"}`: true,
		`{"object":"error","message":"boom"}`: true, `{"error":null,"choices":[]}`: false, `{"object":"response","error":{"message":"boom"}}`: false,
		`{"choices":[{"text":"\"error\""}]}`: false, `{"choices":[{"text":"error"}]}`: false, `"error"`: false, "": false,
	} {
		if got := transport.IsEngineError([]byte(body)); got != want {
			t.Errorf("%s is one: %v", body, got)
		}
	}
}

func TestWhatWasToBeAStreamAndIsNone(t *testing.T) {
	for kind, want := range map[string]bool{"text/event-stream": true, "Text/Event-Stream; charset=utf-8": true, "application/json": false, "text/event-streams": false, "": false} {
		if got := transport.IsStream(http.Header{"Content-Type": {kind}}); got != want {
			t.Errorf("%q is a stream: %v", kind, got)
		}
	}
	for kind, want := range map[string]string{"text/html": "the engine answers with text/html, and was asked for a stream", "": "the engine answers with something, and was asked for a stream"} {
		if e := transport.NoStream(http.Header{"Content-Type": {kind}}); e.Code != ops.CodeInternal || e.Error() != want {
			t.Errorf("of %q: %v", kind, e)
		}
	}
}

func FuzzEngineError(f *testing.F) {
	f.Add(400, []byte(`{"error":{"message":"boom","param":"x","code":400}}`))
	f.Add(0, []byte(`{"detail":[{"loc":["body",0],"msg":"no"}]}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if e := transport.EngineError(status, body); e.Code == "" || e.Error() == "" {
			t.Errorf("%d %q is %+v", status, body, e)
		}
	})
}
