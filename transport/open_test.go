package transport_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

func TestAnAnswerCanBeReadAsItComes(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("POST /v1/completions", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"error":{"message":"there is no such model","type":"invalid_request_error","code":"not_found"}}`)
	})
	d := &daemon{Server: httptest.NewServer(mux)}
	defer d.Close()
	c := d.client(t)
	body, _, err := c.Open(t.Context(), "/v1/chat/completions", map[string]int{"a": 1})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if text, err := io.ReadAll(body); err != nil || string(text) != `{"a":1}` {
		t.Errorf("it says %q, %v", text, err)
	}
	if _, _, err := c.Open(t.Context(), "/v1/completions", nil); ops.CodeOf(err) != ops.CodeNotFound || err.Error() != "there is no such model" {
		t.Errorf("OpenAI's form of an error: %v", err)
	}
	if _, _, err := c.Open(t.Context(), "/v1/completions", make(chan int)); err == nil {
		t.Error("what is no JSON was sent")
	}
}

func TestAnAddressOfTheOtherSchemeIsToldAtOnce(t *testing.T) {
	plain, encrypted := httptest.NewServer(http.NotFoundHandler()), httptest.NewUnstartedServer(http.NotFoundHandler())
	encrypted.Config.ErrorLog = log.New(io.Discard, "", 0)
	encrypted.StartTLS()
	defer plain.Close()
	defer encrypted.Close()
	for url, want := range map[string]string{
		strings.Replace(plain.URL, "http:", "https:", 1):     "http:// in place of https://",
		strings.Replace(encrypted.URL, "https:", "http:", 1): "https:// in place of http://",
	} {
		c := transport.New(transport.Options{BaseURL: url})
		defer c.Close()
		_, health := c.Health(t.Context())
		_, job := c.Do(t.Context(), ops.Status{}, "", nil) // which would go on for its patience
		for _, err := range []error{health, job} {
			if e := ops.AsError(err); e == nil || e.Code != ops.CodeInvalid || !strings.Contains(e.Hint, want) {
				t.Errorf("%s: %v, want the hint %q", url, e, want)
			}
		}
	}
}

// TestWhatAnEngineAnswersIsNotTakenForAStranger: it is the queen that passes it on.
func TestWhatAnEngineAnswersIsNotTakenForAStranger(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		says   string
		code   ops.Code
		want   string
	}{
		"a number for its code": {400, `{"error":{"message":"too long","code":400}}`, ops.CodeInvalid, "too long"},
		"no code":               {429, `{"error":{"message":"too many"}}`, ops.CodeBusy, "too many"},
		"a text":                {413, "too\nlarge", ops.CodeInvalid, "too large"},
		"nothing":               {503, "", ops.CodeBusy, "worker w of gpu1: the engine answers 503 Service Unavailable"},
		"another shape":         {422, `{"detail":[{"loc":["body"],"msg":"no"}]}`, ops.CodeInvalid, "body: no"},
		"not implemented":       {501, "", ops.CodeUnsupported, "answers 501"},
		"not found":             {404, "", ops.CodeInternal, "worker w of gpu1: the engine answers 404"},
		"a worker of rbee's":    {503, `{"error":{"message":"worker w of gpu1, which runs bee: it ended","code":"unavailable"}}`, ops.CodeUnavailable, "worker w of gpu1, which runs bee: it ended"},
		"a teapot":              {418, "", ops.CodeInternal, "answers 418"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &daemon{Server: httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Rbee-Hive", "gpu1")
				w.Header().Set("X-Rbee-Worker", "w")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.says)
			}))}
			defer d.Close()
			if _, header, err := d.client(t).Open(t.Context(), "/v1/chat/completions", nil); ops.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.want) || header.Get("X-Rbee-Hive") != "gpu1" {
				t.Errorf("%v (%s), want %q (%s)", err, ops.CodeOf(err), tt.want, tt.code)
			}
		})
	}
}
