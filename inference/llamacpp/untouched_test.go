package llamacpp

import (
	"bytes"
	"context"
	"encoding/base64"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/testdata"
)

// varying is what differs between two answers to one request.
var varying = regexp.MustCompile(`"(id|item_id|created|created_at|completed_at)":("[^"]*"|\d+)|"timings":\{[^}]*\}`)

func TestAnswersAreThoseOfTheProgramByteForByte(t *testing.T) {
	folder := shortFolder(t)
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
		{"an answer of a given form", "/v1/chat/completions", told("bee", chat{"response_format": chat{
			"type": "json_schema", "json_schema": chat{"name": "bee", "strict": true, "schema": chat{
				"type": "object", "properties": chat{"legs": chat{"type": "integer"}}, "required": []string{"legs"}, "additionalProperties": false,
			}},
		}})},
		{"a response", "/v1/responses", chat{"model": "tinybee", "input": "bee", "max_output_tokens": 8, "temperature": 0}},
		{"a stream of a response", "/v1/responses", chat{"model": "tinybee", "input": "bee", "max_output_tokens": 8, "temperature": 0, "stream": true}},
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

// shortFolder is a temporary folder in whose path a socket's name has room.
func shortFolder(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp("/tmp", "rbee-test-") //nolint:usetesting // t.TempDir has the test's name in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

// TestWhatAModelSeesIsPassedOnByteForByte: an image, by a projector beside the model.
func TestWhatAModelSeesIsPassedOnByteForByte(t *testing.T) {
	folder, models := shortFolder(t), t.TempDir()
	path := filepath.Join(models, "tinybee.gguf")
	write(t, path, testdata.Tinybee())
	write(t, filepath.Join(models, "mmproj-tinybee.gguf"), gguftest.Projector{Output: 160}.Bytes())
	engine := front(t, open(t, inference.Spec{Parallel: 1, ContextLength: 512, Folder: folder, ModelPath: path}))
	direct := front(t, socket(filepath.Join(folder, "engine.sock")))
	seen := map[string]bool{}
	for _, shade := range []color.Color{color.Black, color.White} {
		body := told("", chat{"cache_prompt": false, "messages": []chat{{"role": "user", "content": []chat{
			{"type": "image_url", "image_url": chat{"url": "data:image/png;base64," + picture(t, shade)}}, {"type": "text", "text": "Once upon a time"},
		}}}})
		want, got := whole(t, direct+"/v1/chat/completions", body), whole(t, engine+"/v1/chat/completions", body)
		if diff := cmp.Diff(want, got); diff != "" || !strings.HasPrefix(got, "200 OK") {
			t.Errorf("got %s; %s", got, diff)
		}
		seen[got] = true
	}
	if len(seen) != 2 {
		t.Errorf("black and white are the same to it: %v", seen)
	}
}

// picture is a square of one colour as a PNG, in base64.
func picture(t *testing.T, shade color.Color) string {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 32, 32))
	draw.Draw(img, img.Bounds(), image.NewUniform(shade), image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
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
