package gateway

import (
	"cmp"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"rbee.dev/rbee/ops"
)

// tallied counts how often h is asked.
func tallied(n *atomic.Int32, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		h(w, r)
	}
}

func TestAStreamThatBeginsWithAnErrorIsAskedForElsewhere(t *testing.T) {
	const hello = `{"id":"1","choices":[{"delta":{"content":"hello"},"text":"hello","finish_reason":"stop"}]}`
	for name, h := range map[string]http.HandlerFunc{
		"as vLLM says it":                 events(`{"error": {"message":"engine core is dead","type":"InternalServerError","param":null,"code":500}}`, "[DONE]"),
		"as llama.cpp says it":            events(`{"error":{"code":500,"message":"Compute error.","type":"server_error"}}`),
		"in words of its own":             events(`{"error":"engine core is dead"}`),
		"at the top":                      events(`{"object":"error","message":"engine core is dead","code":500}`),
		"in the responses API's words":    events(`{"type":"error","code":"server_error","message":"engine core is dead"}`),
		"by breaking off before anything": events("BREAK"),
		"by ending before anything":       events(),
	} {
		for _, path := range []string{"/v1/completions", "/v1/messages", "/api/generate"} {
			t.Run(name+path, func(t *testing.T) {
				f := newFarm(t)
				f.add("a", h)
				if status, header, text := f.ask(path, askOf("true")); status < 502 || status > 503 || header.Get("X-Rbee-Worker") != "a" || !strings.Contains(text, asks[path]) {
					t.Errorf("by itself: %d %q %v", status, text, header)
				}
				f = newFarm(t)
				var a, b atomic.Int32
				f.add("a", tallied(&a, h))
				f.add("b", tallied(&b, events(hello, "[DONE]")))
				for range 3 {
					status, header, text := f.ask(path, `{"model":"bee","stream":true,"max_tokens":9,"prompt":"hi","messages":[{"role":"user","content":"hi"}]}`)
					if status != 200 || !strings.Contains(text, "hello") || strings.Contains(text, "error") || header.Get("X-Rbee-Worker") != "b" {
						t.Errorf("%d %q by %s", status, text, header.Get("X-Rbee-Worker"))
					}
				}
				if a.Load() != 1 || b.Load() != 3 {
					t.Errorf("they were asked %d and %d times", a.Load(), b.Load())
				}
			})
		}
	}
}

func TestAnErrorOfTheRequestIsNotAskedForElsewhere(t *testing.T) {
	for _, e := range []string{
		`{"error":{"message":"too long","type":"BadRequestError","code":400}}`, `{"error":{"message":"too long","type":"invalid_request_error","code":"invalid"}}`,
	} {
		f := newFarm(t)
		var b atomic.Int32
		f.add("a", events(e))
		f.add("b", tallied(&b, events("hello", "[DONE]")))
		if status, header, text := f.ask("/v1/completions", streamed); status != 400 || text != e || header.Get("Content-Type") != "application/json" || b.Load() != 0 {
			t.Errorf("%d %q, the other one was asked %d times", status, text, b.Load())
		}
		if status, _, text := f.ask("/v1/messages", `{"model":"bee","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`); status != 400 || !strings.Contains(text, "too long") {
			t.Errorf("by Anthropic's API %d %q", status, text)
		}
	}
}

func TestAnErrorThatAllStreamsBeginWithIsAnsweredByTheFirst(t *testing.T) {
	const first, second = `{"error":{"message":"a is dead","code":500}}`, `{"error":{"message":"b is dead","code":500}}`
	for _, resume := range []string{"false", "true"} {
		f := newFarm(t)
		f.add("a", events(first))
		f.add("b", events(second))
		status, h, text := f.send(http.MethodPost, "/v1/completions", `{"model":"bee","stream":true,"temperature":0}`, http.Header{ResumeHeader: {resume}})
		if status != 502 || !strings.HasPrefix(text, `{"error":{"code":500,"hint":"where it goes on failing, `) || !strings.Contains(text, `,"message":"worker a of gpu1, which runs bee: a is dead (`) || h.Get("X-Rbee-Worker") != "a" {
			t.Errorf("with resuming %s: %d %q", resume, status, text)
		}
		x, err := f.schedule.Explain(h.Get(JobHeader))
		if err != nil || x.Error != "worker a of gpu1, which runs bee: a is dead" || x.Decisions[1].Failed != "worker b of gpu1, which runs bee: b is dead" {
			t.Errorf("it is explained by %+v, %v", x, err)
		}
	}
}

// TestALongBeginningPassesWhole: one that does not fit into what is looked at.
func TestALongBeginningPassesWhole(t *testing.T) {
	f := newFarm(t)
	long := `{"choices":[{"text":"` + strings.Repeat("x", 10_000) + `"}],"error":null}`
	f.add("a", events(long, "[DONE]"))
	if _, _, text := f.ask("/v1/completions", streamed); text != "data: "+long+"\n\ndata: [DONE]\n\n" {
		t.Errorf("it has %d bytes", len(text))
	}
}

// torn answers in one piece, of which it sends a part.
func torn(length string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if length != "" {
			w.Header().Set("Content-Length", length)
		}
		_, _ = io.WriteString(w, `{"id":"1","choices":[{"index":0,"mess`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// asks are requests of each dialect, with their answers' sign of an error.
var asks = map[string]string{"/v1/chat/completions": `{"error":{"`, "/v1/completions": `{"error":{"`, "/v1/messages": `"type":"error"}`, "/api/chat": `{"error":"`, "/api/generate": `{"error":"`}

// askOf is such a request.
func askOf(stream string) string {
	return `{"model":"bee","stream":` + stream + `,"max_tokens":9,"prompt":"hi","messages":[{"role":"user","content":"hi"}]}`
}

// hello greets, in a stream or in one piece.
func hello(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	const member = `"content":"hello"},"text":"hello","finish_reason":"stop"}]}`
	if strings.Contains(string(body), `"stream":true`) {
		events(`{"id":"1","choices":[{"delta":{`+member, "[DONE]")(w, r)
		return
	}
	says(`{"id":"1","choices":[{"message":{`+member)(w, r)
}

func TestAnAnswerInOnePieceThatBreaksOffIsAskedForElsewhere(t *testing.T) {
	for _, length := range []string{"500", ""} {
		for path := range asks {
			for _, stream := range []string{"false", "true"} {
				t.Run(path+" "+stream+" "+length, func(t *testing.T) {
					failsElsewhere(t, torn(length), path, askOf(stream), http.StatusServiceUnavailable, "")
				})
			}
		}
	}
}

// failsElsewhere looks that whoever asks one that answers as h does is told of an error
// with that status, and by whom, where it is the only one, and else answered by another,
// unseen.
func failsElsewhere(t *testing.T, h http.HandlerFunc, path, body string, alone int, told string) {
	t.Helper()
	f := newFarm(t)
	f.add("a", h)
	status, header, text := f.ask(path, body)
	if x := f.over(header); status != alone || !strings.Contains(text, asks[path]) || !strings.Contains(text, told) || header.Get("X-Rbee-Worker") != "a" || x.Ended != ops.EndedFailed {
		t.Errorf("by itself: %d %q, %s %v", status, text, x.Ended, header)
	}
	f = newFarm(t)
	var asked atomic.Int32
	f.add("a", tallied(&asked, h))
	f.add("b", hello)
	for range 3 { // whichever is first
		status, header, text = f.ask(path, body)
		if x := f.over(header); status != http.StatusOK || !strings.Contains(text, "hello") || strings.Contains(text, "error") || header.Get("X-Rbee-Worker") != "b" || x.Ended != ops.EndedDone {
			t.Errorf("beside another: %d %q, %s", status, text, x.Ended)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("it was asked %d times", asked.Load())
	}
}

func TestAnAnswerThatCannotBeReadIsAskedForElsewhere(t *testing.T) {
	for _, said := range []string{"garbage", `"hello"`, `[]`, `{"choices":[]`, " "} {
		for path := range asks {
			t.Run(said+path, func(t *testing.T) {
				failsElsewhere(t, says(said), path, askOf("false"), http.StatusBadGateway, "worker a of gpu1, which runs bee: it answers with what cannot be read")
			})
		}
	}
	f := newFarm(t)
	f.add("a", says("\n[{\"index\":0}]\n"))
	if status, _, text := f.ask("/v1/rerank", `{"model":"bee"}`); status != http.StatusOK || text != "\n[{\"index\":0}]\n" {
		t.Errorf("a list of what is ranked: %d %q", status, text)
	}
}

// TestJSONThatIsNoAnswerIsAskedForElsewhere: of which a client would see an empty one.
func TestJSONThatIsNoAnswerIsAskedForElsewhere(t *testing.T) {
	for _, said := range []string{`{}`, `{"object":"chat.completion","usage":{"prompt_tokens":3}}`, `{"data":[]}`, `{"choices":[]}`, `{"choices" : [ ]}`, `{"choices":[{"message":{}}]}`} {
		for path := range asks {
			t.Run(said+path, func(t *testing.T) {
				failsElsewhere(t, says(said), path, askOf("false"), http.StatusBadGateway, "it answers with JSON that is no answer of a model's")
			})
		}
	}
	for path, said := range map[string]string{
		"/v1/embeddings": `{"data":[]}`, "/v1/responses": `{"output":[]}`, "/v1/rerank": `{"results":[]}`, "/v1/chat/completions": `{"choices":[{}]}`,
	} {
		f := newFarm(t)
		f.add("a", says(said))
		if status, _, text := f.ask(path, `{"model":"bee"}`); status != http.StatusOK || text != said {
			t.Errorf("%s: %d %q", path, status, text)
		}
		f = newFarm(t)
		f.add("a", says(`{"id":"x"}`))
		if status, _, text := f.ask(path, `{"model":"bee"}`); status != http.StatusBadGateway {
			t.Errorf("%s, none: %d %q", path, status, text)
		}
	}
}

// TestALongAnswerInOnePiecePassesWhole: whether it is kept, or too long for that.
func TestALongAnswerInOnePiecePassesWhole(t *testing.T) {
	for _, size := range []int{1, 4000, 4096, 10_000, maxKept - 8, maxKept, 300_000} {
		answer := `{"choices":[{}],"x":"` + strings.Repeat("x", size) + `"}`
		for _, length := range []string{strconv.Itoa(len(answer)), ""} {
			f := newFarm(t)
			f.add("a", func(w http.ResponseWriter, r *http.Request) {
				if w.Header().Set("Content-Length", length); length == "" {
					w.Header().Del("Content-Length")
					_ = http.NewResponseController(w).Flush()
				}
				says(answer)(w, r)
			})
			if _, _, text := f.ask("/v1/completions", `{"model":"bee"}`); text != answer {
				t.Errorf("of %d bytes, told as %q, %d come", len(answer), length, len(text))
			}
		}
	}
}

// as is the writer of an answer that says of another kind what it is, or of none.
type as struct {
	http.ResponseWriter
	kind string
}

// Write takes a part of the answer.
func (a as) Write(p []byte) (int, error) {
	if a.Header()["Content-Type"] = []string{a.kind}; a.kind == "" {
		a.Header()["Content-Type"] = nil // else one is guessed
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap lets flushes through (see [http.ResponseController]).
func (a as) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// TestAnAnswerInOnePieceIsNoStream: one that was asked for is asked for elsewhere, however
// good the answer looks.
func TestAnAnswerInOnePieceIsNoStream(t *testing.T) {
	const whole = `{"id":"1","choices":[{"message":{"content":"hi"},"text":"hi","finish_reason":"stop"}]}`
	for _, said := range []string{whole, "{}", `{"choices":[{}]}`, `{"x":"` + strings.Repeat("x", 2*maxKept) + `"}`} {
		for path := range asks {
			t.Run(path, func(t *testing.T) {
				failsElsewhere(t, says(said), path, askOf("true"), http.StatusBadGateway, "worker a of gpu1, which runs bee: the engine answers with application/json, and was asked for a stream (")
			})
		}
	}
	for _, kind := range []string{"text/plain", ""} {
		h := func(w http.ResponseWriter, r *http.Request) {
			w = as{w, kind}
			hello(w, r)
		}
		told := "worker a of gpu1, which runs bee: the engine answers with " + cmp.Or(kind, "something") + ", and was asked for a stream ("
		for path := range asks {
			t.Run(kind+path, func(t *testing.T) { failsElsewhere(t, h, path, askOf("true"), http.StatusBadGateway, told) })
		}
	}
	f := newFarm(t)
	f.add("a", says(`{"data":[]}`))
	if status, _, text := f.ask("/v1/embeddings", streamed); status != http.StatusOK || text != `{"data":[]}` {
		t.Errorf("what is never a stream: %d %q", status, text)
	}
	f = newFarm(t)
	f.add("a", says(`{"error":{"message":"too long","code":400}}`))
	if status, _, text := f.ask("/v1/completions", streamed); status != http.StatusBadRequest || !strings.Contains(text, `"too long"`) {
		t.Errorf("the request's own error: %d %q", status, text)
	}
}
