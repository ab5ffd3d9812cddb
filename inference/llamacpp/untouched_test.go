package llamacpp

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/inference"
)

// varying is what differs between two answers to one request.
var varying = regexp.MustCompile(`"(id|created)":("[^"]*"|\d+)|"timings":\{[^}]*\}`)

func TestAnswersAreThoseOfTheProgramByteForByte(t *testing.T) {
	folder, err := os.MkdirTemp("", "rbee-test-") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	engine := front(t, open(t, inference.Spec{Parallel: 1, ContextLength: 512, Folder: folder}))
	direct := front(t, socket(filepath.Join(folder, "engine.sock")))
	tools := []chat{{"type": "function", "function": chat{"name": "fly", "parameters": chat{"type": "object", "properties": chat{"to": chat{"type": "string"}}}}}}
	for _, c := range []struct {
		name, path string
		body       chat
	}{
		{"a chat", "/v1/chat/completions", told("bee", nil)},
		{"a stream", "/v1/chat/completions", told("bee", chat{"stream": true, "stream_options": chat{"include_usage": true}})},
		{"text", "/v1/completions", chat{"prompt": "bee", "max_tokens": 8, "temperature": 0, "stream": true, "logprobs": 2}},
		{"tools", "/v1/chat/completions", told("bee", chat{"tools": tools, "tool_choice": "auto"})},
		{"an image that it cannot see", "/v1/chat/completions", told("", chat{"messages": []chat{{"role": "user", "content": []chat{
			{"type": "image_url", "image_url": chat{"url": "data:image/png;base64,iVBORw0KGgo="}},
		}}}})},
		{"embeddings that it does not make", "/v1/embeddings", chat{"input": "bee"}},
		{"ranks that it does not make", "/v1/rerank", chat{"query": "bee", "documents": []string{"bee", "tree"}}},
		{"its own API", "/tokenize", chat{"content": "a bee"}},
		{"what it does not have", "/v1/warp", chat{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.path != "/tokenize" {
				c.body["cache_prompt"] = false
			}
			if diff := cmp.Diff(whole(t, direct+c.path, c.body), whole(t, engine+c.path, c.body)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// whole is an answer with its status, without what varies.
func whole(t *testing.T, url string, body chat) string {
	t.Helper()
	answer := post(t, t.Context(), url, body)
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status + " " + answer.Header.Get("Content-Type") + "\n" + varying.ReplaceAllString(string(text), `"$1"`)
}

// socket reaches the program past the engine.
func socket(path string) http.Handler {
	p := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "x"})
	p.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body)) // a server closes its own when an answer begins
		p.ServeHTTP(w, r)
	})
}

func TestABodyLargerThanABufferArrivesWhole(t *testing.T) {
	e := open(t, inference.Spec{Parallel: 1})
	text := make([]byte, 300_000)
	for i := range text {
		text[i] = "bee "[i%4]
	}
	var got struct{ Tokens []int }
	ask(t, front(t, e)+"/tokenize", chat{"content": string(text)}, &got)
	if len(got.Tokens) < 70_000 {
		t.Errorf("%d tokens", len(got.Tokens))
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/models", nil))
	if w.Code != http.StatusOK {
		t.Errorf("the models are %d %s", w.Code, w.Body)
	}
}
