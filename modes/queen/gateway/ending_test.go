package gateway

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// bytesOf answers with an event stream of these bytes, and breaks off at "BREAK".
func bytesOf(pieces ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, p := range pieces {
			if p == "BREAK" {
				panic(http.ErrAbortHandler)
			}
			_, _ = io.WriteString(w, p)
			_ = http.NewResponseController(w).Flush()
		}
	}
}

func TestAnAnswerThatBreaksOffNeverEndsInSilence(t *testing.T) {
	for name, tt := range map[string]struct {
		h    http.HandlerFunc
		want []string
	}{
		"in a stream": {events("hello", "BREAK"), []string{"data: hello\n\n", `data: {"error":{"message":"worker w of gpu1, which runs bee: it broke its answer off`}},
		"in the middle of a frame": {func(w http.ResponseWriter, r *http.Request) {
			events("hello")(w, r)
			_, _ = io.WriteString(w, "data: {\"a\"")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, []string{"data: {\"a\"\n\n", `data: {"error"`}},
		"in a stream that ends too early": {events("hello"), []string{"data: hello\n\n", `data: {"error"`}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			f.add("w", tt.h)
			_, _, text := f.ask("/v1/completions", streamed)
			rest := text
			for _, want := range tt.want {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Fatalf("%q, want %q in it", text, tt.want)
				}
				rest = after
			}
			if strings.Contains(text, "[DONE]") || strings.Count(text, `"error"`) > 1 {
				t.Errorf("it ends as if all were well, or twice: %q", text)
			}
		})
	}
	f := newFarm(t)
	f.add("w", short)
	if _, _, text := f.ask("/v1/completions", `{"model":"bee"}`); !strings.Contains(text, "BROKEN") {
		t.Errorf("a long answer in one piece: %d bytes", len(text))
	}
}

// TestALostConnectionIsNotTheWorkersFault, which has broken nothing off.
func TestALostConnectionIsNotTheWorkersFault(t *testing.T) {
	const want = `{"error":{"message":"worker w of gpu1, which runs bee: the connection to its machine was lost (ask again; ` + "`rbee hive list`"
	for name, tt := range map[string]struct {
		h    http.HandlerFunc
		body string
		want string
	}{
		"in a stream":                 {events("hello", "BREAK"), streamed, "data: hello\n\n\n\ndata: " + want},
		"before a stream begins":      {bytesOf("", "BREAK"), streamed, want},
		"before anything":             {bytesOf("BREAK"), `{"model":"bee"}`, want},
		"in an answer in one piece":   {halfOf(http.StatusOK), `{"model":"bee"}`, want},
		"in the words of its failure": {halfOf(http.StatusInternalServerError), `{"model":"bee"}`, want},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			f.remote = true
			f.add("w", tt.h)
			if _, _, text := f.ask("/v1/completions", tt.body); !strings.HasPrefix(text, tt.want) {
				t.Errorf("%q, want %q", text, tt.want)
			}
		})
	}
}

// halfOf breaks an answer off in its middle.
func halfOf(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"choices":[`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func TestTheResponsesAPIEndsInItsOwnWords(t *testing.T) {
	response := func(list ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for _, name := range list {
				fmt.Fprintf(w, "event: response.%s\ndata: {\"type\":\"response.%s\",\"text\":%q}\n\n", name, name, strings.Repeat("long ", 500))
				_ = http.NewResponseController(w).Flush()
			}
		}
	}
	f := newFarm(t)
	f.add("w", response("created", "completed"))
	if _, _, text := f.ask("/v1/responses", streamed); strings.Contains(text, "error") || !strings.Contains(text, "response.completed") {
		t.Errorf("a whole one: %s", text)
	}
	f = newFarm(t)
	f.add("w", response("created", "output_text.delta"))
	if _, _, text := f.ask("/v1/responses", streamed); !strings.Contains(text, "\n\nevent: error\ndata: {\"code\":\"unavailable\",\"message\":\"worker w of gpu1, which runs bee: it broke its answer off") {
		t.Errorf("one that breaks off: %s", text)
	}
}

// TestAnEngineThatDiesLateIsNeverTakenForOneThatIsDone holds it in every dialect,
// however late it is.
func TestAnEngineThatDiesLateIsNeverTakenForOneThatIsDone(t *testing.T) {
	const (
		said   = `data: {"id":"1","choices":[{"delta":{"content":"hel"}}]}` + "\n\n"
		word   = `data: {"id":"1","choices":[{"delta":{"content":"error"}}]}` + "\n\n"
		quoted = `data: {"id":"1","choices":[{"delta":{"content":"\"error\": {data: [DONE]"}}]}` + "\n\n"
		call   = `data: {"id":"1","choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\""}}]}}]}` + "\n\n"
		last   = `data: {"id":"1","choices":[{"delta":{},"finish_reason":"stop"}]}` + "\n\n"
		counts = `data: {"id":"1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}` + "\n\n"
	)
	dialects := map[string]struct{ path, body, failure, done string }{
		"openai":          {"/v1/chat/completions", `{"model":"bee","stream":true}`, `data: {"error":{`, "\ndata: [DONE]"},
		"anthropic":       {"/v1/messages", `{"model":"bee","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}`, "event: error\ndata: {\"error\":{", "message_stop"},
		"ollama":          {"/api/chat", `{"model":"bee","messages":[{"role":"user","content":"x"}]}`, `{"error":"`, `"done":true`},
		"ollama generate": {"/api/generate", `{"model":"bee","prompt":"x"}`, `{"error":"`, `"done":true`},
	}
	for name, h := range map[string]http.HandlerFunc{
		"after a piece":             bytesOf(said, "BREAK"),
		"after the last piece":      bytesOf(said, last, "BREAK"),
		"after what it counted":     bytesOf(said, last, counts, "BREAK"),
		"in a piece":                bytesOf(said, said[:30], "BREAK"),
		"in its last word":          bytesOf(said, last, "data: [DO", "BREAK"),
		"in a tool's call":          bytesOf(said, call, "BREAK"),
		"after the word error":      bytesOf(said, word, "BREAK"),
		"after what looks like it":  bytesOf(said, quoted, "BREAK"),
		"in what looks like it":     bytesOf(said, quoted[:strings.Index(quoted, "[DONE]")+6], "BREAK"),
		"with a tidy connection":    bytesOf(said),
		"tidily after error":        bytesOf(said, word),
		"with lines of old":         bytesOf(strings.ReplaceAll(said+last, "\n", "\r\n"), "BREAK"),
		"and says so":               bytesOf(said, `data: {"error":{"message":"out of memory"}}`+"\n\n"),
		"and says so, with a blank": bytesOf(said, `data: {"error": {"message":"out of memory"}}`+"\n\n"),
		"and says nothing of use":   bytesOf(said, "data: out of memory\n\n", "BREAK"),
	} {
		for dialect, d := range dialects {
			t.Run(dialect+" "+name, func(t *testing.T) {
				f := newFarm(t)
				f.add("w", h)
				status, _, text := f.ask(d.path, d.body)
				text = strings.ReplaceAll(text, `"error": {`, `"error":{`)
				before, failure, ok := strings.Cut(text, d.failure)
				if !ok || status != http.StatusOK || strings.HasSuffix(text, "BROKEN") {
					t.Fatalf("no error ends it: %d %s", status, text)
				}
				if !strings.Contains(before, "hel") || strings.Contains(text, d.done) || strings.Contains(failure, d.failure) {
					t.Errorf("it has lost what was said, ends as if all were well, or twice: %s", text)
				}
				if !strings.Contains(failure, "out of memory") && !strings.Contains(failure, "broke its answer off") {
					t.Errorf("it does not say why: %s", failure)
				}
			})
		}
	}
}

// TestAWholeStreamWithoutItsLastWordGetsIt is of engines that send no [DONE].
func TestAWholeStreamWithoutItsLastWordGetsIt(t *testing.T) {
	const (
		said   = `data: {"id":"1","choices":[{"delta":{"content":"hel"},"text":"hel","finish_reason":null}]}` + "\n\n"
		last   = `data: {"id":"1","choices":[{"delta":{},"text":"","finish_reason": "stop"}]}` + "\n\n"
		counts = `data: {"id":"1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}` + "\n\n"
	)
	for name, h := range map[string]http.HandlerFunc{
		"at the last piece":          bytesOf(said, last),
		"at what it counted":         bytesOf(said, last, counts),
		"without its last empty one": bytesOf(said, strings.TrimSpace(last)),
		"of a length that it tells": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(said+last)))
			bytesOf(said+last)(w, r)
		},
	} {
		for path, want := range map[string]string{
			"/v1/chat/completions": "data: [DONE]\n\n", "/v1/completions": "data: [DONE]\n\n", "/v1/messages": "message_stop\"}\n\n", "/api/chat": "}\n",
		} {
			for _, resume := range []string{"false", "true"} {
				f := newFarm(t)
				f.add("w", h)
				_, _, text := f.send(http.MethodPost, path, `{"model":"bee","stream":true,"max_tokens":9,"temperature":0,"messages":[{"role":"user","content":"x"}]}`, http.Header{ResumeHeader: {resume}})
				if !strings.Contains(text, "hel") || !strings.HasSuffix(text, want) || strings.Contains(text, "error") || path == "/api/chat" && !strings.Contains(text, `"done":true`) {
					t.Errorf("%s, %s, resume %s: %s", name, path, resume, text)
				}
			}
		}
	}
}

// TestStreamsWithLinesOfOldAreTranslatedToo is of engines whose lines end as HTTP's
// do, which event streams may.
func TestStreamsWithLinesOfOldAreTranslatedToo(t *testing.T) {
	for path, want := range map[string][]string{
		"/v1/messages": {`"text":"hel"`, `"text":"lo"`, `"output_tokens":2`, "message_stop"},
		"/api/chat":    {`"content":"hel"`, `"content":"lo"`, `"done":true`, `"eval_count":2`},
	} {
		f := newFarm(t)
		f.add("w", bytesOf(": ping\r\n\r\n", "data: "+strings.ReplaceAll(aStream, "\n", "\r\n\r\ndata: ")+"\r\n\r\n"))
		_, _, text := f.ask(path, `{"model":"bee","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}`)
		for _, w := range want {
			_, rest, ok := strings.Cut(text, w)
			if !ok {
				t.Fatalf("%s: %s is missing, or not in its place: %s", path, w, text)
			}
			text = rest
		}
	}
}
