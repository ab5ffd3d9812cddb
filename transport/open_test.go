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
	body, err := c.Open(t.Context(), "/v1/chat/completions", map[string]int{"a": 1})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if text, err := io.ReadAll(body); err != nil || string(text) != `{"a":1}` {
		t.Errorf("it says %q, %v", text, err)
	}
	if _, err := c.Open(t.Context(), "/v1/completions", nil); ops.CodeOf(err) != ops.CodeNotFound || err.Error() != "there is no such model" {
		t.Errorf("OpenAI's form of an error: %v", err)
	}
	if _, err := c.Open(t.Context(), "/v1/completions", make(chan int)); err == nil {
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
