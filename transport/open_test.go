package transport_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"rbee.dev/rbee/ops"
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
