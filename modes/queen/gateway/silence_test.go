package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// roleOnly is what engines begin a stream with.
const roleOnly = `{"id":"1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"text":"","finish_reason":null}],"usage":null}`

func TestAStreamThatFailsBeforeItSaysAnythingIsAskedForElsewhere(t *testing.T) {
	const dead = `{"error":{"message":"engine core is dead","type":"server_error","code":500}}`
	for name, tt := range map[string]struct {
		h     http.HandlerFunc
		alone int // what the client gets where there is no other
	}{
		"it breaks off":               {events(roleOnly, "BREAK"), http.StatusServiceUnavailable},
		"it ends":                     {events(roleOnly), http.StatusBadGateway},
		"it says so":                  {events(roleOnly, dead, "[DONE]"), http.StatusBadGateway},
		"after more than one":         {events(roleOnly, roleOnly, "BREAK"), http.StatusServiceUnavailable},
		"after comments and names":    {bytesOf(": ping\n\n", "event: message\ndata: "+roleOnly+"\n\n", "BREAK"), http.StatusServiceUnavailable},
		"in the middle of a word":     {bytesOf("data: "+roleOnly+"\n\n", `data: {"id":"1","choices":[{"delta":{"cont`, "BREAK"), http.StatusServiceUnavailable},
		"with lines of old":           {bytesOf("data: "+roleOnly+"\r\n\r\n", "BREAK"), http.StatusServiceUnavailable},
		"with what it has not called": {events(`{"choices":[{"delta":{"content":null,"tool_calls":[],"reasoning_content":""}}]}`, "BREAK"), http.StatusServiceUnavailable},
	} {
		for path := range asks {
			t.Run(name+path, func(t *testing.T) { failsElsewhere(t, tt.h, path, askOf("true"), tt.alone, "") })
		}
	}
}

func TestAStreamIsHandedOnWithItsFirstWord(t *testing.T) {
	for name, first := range map[string]string{
		"a text":           `{"choices":[{"delta":{"content":"a"}}]}`,
		"a blank":          `{"choices":[{"delta":{"content":" "}}]}`,
		"a thought":        `{"choices":[{"delta":{"reasoning_content":"a"}}]}`,
		"a call":           `{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}`,
		"a completion":     `{"choices":[{"text":"a"}]}`,
		"one of many":      `{"choices":[{"delta":{"content":""}},{"delta":{"content":"a"}}]}`,
		"an end":           `{"choices":[{"delta":{},"finish_reason":"stop"}]}`,
		"how far it is":    `{"choices":[{"delta":{"role":"assistant","content":null}}],"prompt_progress":{"total":9}}`,
		"what it counted":  `{"choices":[],"usage":{"prompt_tokens":1}}`,
		"all that comes":   "[DONE]",
		"another API's":    `{"type":"response.created"}`,
		"what is no chunk": "hello",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			heard := make(chan struct{})
			f.add("a", func(w http.ResponseWriter, r *http.Request) {
				events(roleOnly, first)(w, r)
				<-heard
			})
			answer, err := f.open(t.Context(), http.MethodPost, "/v1/chat/completions", streamed, nil)
			close(heard) // its head has come
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				t.Errorf("it is %d", answer.StatusCode)
			}
		})
	}
}

// read reads an answer to its end.
func read(t *testing.T, answer *http.Response) string {
	t.Helper()
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// TestOnlySomeSilenceIsHeldBack: in number and in bytes.
func TestOnlySomeSilenceIsHeldBack(t *testing.T) {
	for name, silent := range map[string]string{
		"many events": strings.Repeat("data: "+`{"choices":[{"delta":{}}]}`+"\n\n", mostSilent),
		"many bytes":  strings.Repeat(": "+strings.Repeat("x", 100)+"\n\n", 100),
	} {
		f := newFarm(t)
		heard := make(chan struct{})
		f.add("a", func(w http.ResponseWriter, r *http.Request) {
			bytesOf(silent)(w, r)
			<-heard
			events("hello", "[DONE]")(w, r)
		})
		answer, err := f.open(t.Context(), http.MethodPost, "/v1/chat/completions", streamed, nil)
		close(heard)
		if err != nil {
			t.Fatal(err)
		}
		if text := read(t, answer); text != silent+"data: hello\n\ndata: [DONE]\n\n" {
			t.Errorf("%s: %q", name, text)
		}
	}
}

func TestAClientIsToldOfAWorkerThatHasSaidItsRoleOnly(t *testing.T) {
	const told = ": worker a of gpu1 is at work, and has said nothing yet\n\n"
	f := newFarm(t)
	f.gateway.quietAfter = time.Millisecond
	heard := make(chan struct{})
	f.add("a", func(w http.ResponseWriter, r *http.Request) {
		events(roleOnly)(w, r)
		<-heard
		events("hello", "[DONE]")(w, r)
	})
	answer, err := f.open(t.Context(), http.MethodPost, "/v1/chat/completions", streamed, nil)
	close(heard) // it was told of the worker, which has said nothing else
	if err != nil {
		t.Fatal(err)
	}
	if text := read(t, answer); !strings.HasPrefix(text, told) || !strings.HasSuffix(text, "data: "+roleOnly+"\n\ndata: hello\n\ndata: [DONE]\n\n") {
		t.Errorf("%q", text)
	}
}
