package gateway

import (
	"io"
	"net/http"
	"testing"
)

func TestAModelThatWasJustPutIsFoundByWhoeverAsks(t *testing.T) {
	for path, body := range map[string]string{
		"/v1/chat/completions": `{"model":"fresh","messages":[{"role":"user","content":"x"}]}`,
		"/v1/messages":         `{"model":"fresh","max_tokens":3,"messages":[{"role":"user","content":"x"}]}`,
		"/api/chat":            `{"model":"fresh","stream":false,"messages":[{"role":"user","content":"x"}]}`,
		"/api/show":            `{"model":"fresh"}`,
	} {
		f := newFarm(t)
		f.add("w1", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"choices":[{"index":0,"message":{"role":"assistant","content":"y"},"finish_reason":"stop"}],"usage":{}}`)
		})
		if status, _, text := f.ask(path, body); status != http.StatusNotFound {
			t.Errorf("%s, before: %d %s", path, status, text)
		}
		f.put = "fresh"
		if status, _, text := f.ask(path, body); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}
