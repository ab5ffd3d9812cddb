package gateway

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

func TestAWorkerThatFailsAtOnceIsPassedOverUnseen(t *testing.T) {
	for name, broken := range map[string]http.HandlerFunc{
		"it cuts the connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"it is stopping":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"nobody listens":         nil,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			f.add("a", broken)
			if broken == nil {
				f.servers["a"] = nil
			}
			f.add("b", events("hello", "[DONE]"))
			for range 3 { // whichever is first
				if status, _, text := f.ask("/v1/completions", streamed); status != 200 || text != "data: hello\n\ndata: [DONE]\n\n" {
					t.Errorf("%d %q", status, text)
				}
			}
			if !slices.Contains(f.dialled, "gpu1/a") {
				t.Error("the broken one was never tried")
			}
		})
	}
}

func TestAWorkerWhoseModelIsDividedIsAskedOnceMore(t *testing.T) {
	for name, tt := range map[string]struct {
		failures int32
		status   int
		says     string
	}{
		"it has lost a part": {1, http.StatusOK, "data: hello\n\ndata: [DONE]\n\n"},
		"it loses it again":  {2, http.StatusServiceUnavailable, "the part of the model on hive gpu2 was lost"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			var asked atomic.Int32
			f.add("a", func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) <= tt.failures {
					w.WriteHeader(http.StatusServiceUnavailable)
					_, _ = io.WriteString(w, "the part of the model on hive gpu2 was lost")
					return
				}
				events("hello", "[DONE]")(w, r)
			})
			f.mu.Lock()
			f.workers[0].Parts = []string{"gpu2"}
			f.mu.Unlock()
			f.tell()
			if status, _, text := f.ask("/v1/completions", streamed); status != tt.status || !strings.Contains(text, tt.says) {
				t.Errorf("%d %q", status, text)
			}
			if asked.Load() != 2 {
				t.Errorf("it was asked %d times", asked.Load())
			}
		})
	}
}

// boom answers as an engine that has failed.
func boom(asked *atomic.Int32, status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Engine", "boom")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

func TestAnEngineThatHasFailedIsPassedOverUnseen(t *testing.T) {
	for _, path := range []string{"/v1/completions", "/v1/messages", "/api/generate"} {
		t.Run(path, func(t *testing.T) {
			f := newFarm(t)
			var asked atomic.Int32
			f.add("a", boom(&asked, http.StatusInternalServerError, `{"error":{"message":"boom"}}`))
			f.add("b", says(`{"id":"1","choices":[{"message":{"content":"hello"},"text":"hello","finish_reason":"stop"}]}`))
			for range 6 {
				status, header, text := f.ask(path, `{"model":"bee","stream":false,"max_tokens":9,"prompt":"hi","messages":[{"role":"user","content":"hi"}]}`)
				if status != 200 || !strings.Contains(text, "hello") || header.Get("X-Rbee-Worker") != "b" || header.Get("X-Engine") != "" {
					t.Errorf("%d %q by %s", status, text, header.Get("X-Rbee-Worker"))
				}
			}
			if n := asked.Load(); n != 1 { // and then it has a rest
				t.Errorf("the one that fails was asked %d times", n)
			}
		})
	}
}

func TestWhatAllEnginesFailIsAnsweredByTheFirst(t *testing.T) {
	long := strings.Repeat("x", maxKept+1)
	for name, tt := range map[string]struct {
		first, second string
		status        int // of the second
		divided       bool
		want          string
		asked         int32 // of the second
	}{
		"there is no other":             {first: "boom a", want: "boom a"},
		"the other one fails, too":      {"boom a", "boom b", http.StatusInternalServerError, false, "boom a", 1},
		"the other one is stopping":     {"boom a", "stopping", http.StatusServiceUnavailable, false, "boom a", 1},
		"it is too long to be kept":     {long, "boom b", http.StatusInternalServerError, false, long, 0},
		"its model is divided":          {first: "boom a", divided: true, want: "boom a"},
		"it says nothing":               {"", "boom b", http.StatusInternalServerError, false, "", 1},
		"the other one has its timeout": {"boom a", "boom b", http.StatusGatewayTimeout, false, "boom a", 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			var a, b atomic.Int32
			f.add("a", boom(&a, http.StatusInternalServerError, tt.first))
			if tt.divided {
				f.mu.Lock()
				f.workers[0].Parts = []string{"gpu2"}
				f.mu.Unlock()
				f.tell()
			}
			if tt.status != 0 {
				f.add("b", boom(&b, tt.status, tt.second))
			}
			for range 2 { // the second time none is to blame
				status, header, text := f.ask("/v1/completions", streamed)
				if status != http.StatusInternalServerError || text != tt.want || header.Get("X-Engine") != "boom" || header.Get("X-Rbee-Worker") != "a" {
					t.Errorf("%d %.100q by %s", status, text, header.Get("X-Rbee-Worker"))
				}
			}
			if a.Load() != 2 || b.Load() != 2*tt.asked {
				t.Errorf("they were asked %d and %d times", a.Load(), b.Load())
			}
		})
	}
}

// TestWhatEachWorkerSaidIsExplained: of a request that all have failed, and of a
// stream that broke off.
func TestWhatEachWorkerSaidIsExplained(t *testing.T) {
	f := newFarm(t)
	var asked atomic.Int32
	f.add("a", boom(&asked, http.StatusInternalServerError, `{"error":{"message":"boom a"}}`))
	f.add("b", boom(&asked, http.StatusServiceUnavailable, `{"error":"b is stopping"}`))
	_, header, _ := f.ask("/v1/completions", streamed)
	x, err := f.schedule.Explain(header.Get(JobHeader))
	if err != nil || len(x.Decisions) < 2 {
		t.Fatalf("%+v, %v", x, err)
	}
	const a = "worker a of gpu1 answers 500 Internal Server Error: boom a"
	if x.Decisions[0].Failed != a || x.Decisions[1].Failed != "worker b of gpu1 answers 503 Service Unavailable: b is stopping" || x.Error != a || x.Hint == "" {
		t.Errorf("of one that all have failed: %+v", x)
	}
	f = newFarm(t)
	f.add("a", events("hello", "BREAK"))
	_, header, _ = f.ask("/v1/completions", streamed)
	if x, err = f.schedule.Explain(header.Get(JobHeader)); err != nil || len(x.Decisions) != 1 || !strings.Contains(x.Decisions[0].Failed, "broke its answer off") {
		t.Errorf("of one that broke off: %+v, %v", x, err)
	}
}

func TestWhatAnEngineSaysInAnErrorIsFound(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":{"message":"boom","type":"server_error"}}`: "boom",
		`{"error":"boom"}`:                    "boom",
		`{"object":"error","message":"boom"}`: "boom",
		"<html>\n  gone\n</html>":             "<html> gone </html>",
		"":                                    "",
		`{"detail":"boom"}`:                   "boom",
		strings.Repeat("x", mostSaid-1) + "\u00e9 and more of it after": strings.Repeat("x", mostSaid-1),
	} {
		if got := messageIn([]byte(body)); got != want {
			t.Errorf("in %q it is %q, want %q", body, got, want)
		}
	}
}

// TestWhatAnEngineSaysIsNotTakenForWhatTheQueenSays: that it wants a key of its own,
// that it has no such model, or that its route is not there.
func TestWhatAnEngineSaysIsNotTakenForWhatTheQueenSays(t *testing.T) {
	for name, tt := range map[string]struct {
		path, body string
		status     int // of the engine's
		says       string
		want       int
		told       string
	}{
		"a key is wanted":              {"/v1/chat/completions", "{}", 401, `{"error":{"message":"no key","code":401}}`, 500, "worker a of gpu1 answers 401 Unauthorized: no key (its engine wants a key of its own"},
		"it has no such model":         {"/v1/chat/completions", "{}", 404, `{"error":{"message":"The model does not exist.","code":404}}`, 404, `"The model does not exist."`},
		"it has no such route":         {"/v1/rerank", "{}", 404, `{"error":{"message":"File Not Found","type":"not_found_error","code":404}}`, 404, "the model's engine has no /v1/rerank"},
		"it was not started for that":  {"/v1/embeddings", "{}", 501, `{"error":{"message":"no embeddings","type":"not_supported_error","code":501}}`, 404, "--flag embeddings"},
		"the request is too long":      {"/v1/messages", `{"max_tokens":9,"messages":[]}`, 400, `{"error":{"message":"too long","type":"invalid_request_error","code":400}}`, 400, `"message":"too long"`},
		"the request is too long, too": {"/api/chat", `{"messages":[{"role":"user","content":"x"}]}`, 400, `{"error":{"message":"too long","type":"invalid_request_error","code":400}}`, 400, `{"error":"too long"}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			var asked atomic.Int32
			f.add("a", boom(&asked, tt.status, tt.says))
			body := strings.Replace(tt.body, "{", `{"model":"bee",`, 1)
			if status, _, text := f.ask(tt.path, strings.Replace(body, ",}", "}", 1)); status != tt.want || !strings.Contains(text, tt.told) {
				t.Errorf("%d %s, want %d %s", status, text, tt.want, tt.told)
			}
		})
	}
	f := newFarm(t)
	var asked atomic.Int32
	f.add("a", boom(&asked, 429, `{"error":{"message":"too many"}}`))
	if status, _, text := f.ask("/v1/completions", streamed); status != 429 || !strings.Contains(text, "too many") {
		t.Errorf("one that has too much to do, alone: %d %s", status, text)
	}
	f.add("b", events("hello", "[DONE]"))
	if status, _, text := f.ask("/v1/completions", streamed); status != 200 || !strings.Contains(text, "hello") {
		t.Errorf("one that has too much to do, beside another: %d %s", status, text)
	}
}

func TestAPageIsNoAnswerNorIsNothing(t *testing.T) {
	page := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<html>oops</html>")
	}
	nothing := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
	good := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), `"stream":true`) {
			events(`{"id":"1","choices":[{"delta":{"content":"hello"},"text":"hello","finish_reason":"stop"}]}`, "[DONE]")(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"1","choices":[{"message":{"content":"hello"},"text":"hello","finish_reason":"stop"}]}`)
	}
	for i, stream := range []string{"false", "true", "false", "true"} {
		for _, path := range []string{"/v1/completions", "/v1/messages", "/api/generate"} {
			body := `{"model":"bee","stream":` + stream + `,"max_tokens":9,"prompt":"hi","messages":[{"role":"user","content":"hi"}]}`
			f := newFarm(t)
			f.add("a", []http.HandlerFunc{page, nothing}[i/2])
			if status, _, text := f.ask(path, body); status != http.StatusServiceUnavailable || strings.Contains(text, "oops") {
				t.Errorf("%s, stream %s: by itself %d %s", path, stream, status, text)
			}
			f.add("b", good)
			if status, header, text := f.ask(path, body); status != http.StatusOK || !strings.Contains(text, "hello") || header.Get("X-Rbee-Worker") != "b" {
				t.Errorf("%s, stream %s: beside another %d %s", path, stream, status, text)
			}
		}
	}
}

func TestAnErrorInNoFormOfOpenAIsIsToldInWords(t *testing.T) {
	for body, want := range map[string]string{
		`{"object":"error","message":"too long","type":"BadRequestError","code":400}`: "too long",
		`{"detail":"Bad field"}`: "Bad field",
		`{"error":{"message":"n_ctx","type":"exceed_context_size_error","code":400}}`: "n_ctx",
		"plain words\nof its own": "plain words of its own",
	} {
		f := newFarm(t)
		f.add("a", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, body)
		})
		for path, told := range map[string]string{
			"/v1/messages":  `{"error":{"message":"` + want + `","type":"invalid_request_error"},"type":"error"}`,
			"/api/generate": `{"error":"` + want + `"}`,
		} {
			ask := `{"model":"bee","stream":false,"max_tokens":9,"prompt":"hi","messages":[{"role":"user","content":"hi"}]}`
			if status, _, text := f.ask(path, ask); status != http.StatusBadRequest || strings.TrimSpace(text) != told {
				t.Errorf("%s: of %s %d %s", path, body, status, text)
			}
		}
	}
}
