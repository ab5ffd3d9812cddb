package gateway

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
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
		"it loses it again":  {2, http.StatusServiceUnavailable, "worker a of gpu1, which runs bee: the part of the model on hive gpu2 was lost"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			var asked atomic.Int32
			f.add("a", func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) <= tt.failures {
					w.WriteHeader(http.StatusServiceUnavailable)
					_, _ = io.WriteString(w, `{"error":{"message":"the part of the model on hive gpu2 was lost","code":"unavailable"}}`)
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

// TestAWorkerThatAPersonHasStartedIsAskedOnceMore, when its engine has been started again;
// none takes its place.
func TestAWorkerThatAPersonHasStartedIsAskedOnceMore(t *testing.T) {
	f := newFarm(t)
	f.start = func(context.Context, string) (ops.Worker, error) {
		t.Error("another one is started")
		return ops.Worker{}, ops.Errorf(ops.CodeUnavailable, "there is no room")
	}
	state := func(s ops.WorkerState) {
		f.mu.Lock()
		f.workers[0].State = s
		f.mu.Unlock()
		f.tell()
	}
	var asked atomic.Int32
	f.add("a", func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			state(ops.WorkerLoading)
			time.AfterFunc(10*time.Millisecond, func() { state(ops.WorkerReady) })
			panic(http.ErrAbortHandler)
		}
		events("hello", "[DONE]")(w, r)
	})
	f.schedule.Keep("gpu1", "bee", schedule.Kept{Worker: "a", Spawn: ops.WorkerSpawn{Parallel: 1}})
	if status, _, text := f.ask("/v1/completions", streamed); status != http.StatusOK || text != "data: hello\n\ndata: [DONE]\n\n" || asked.Load() != 2 {
		t.Errorf("asked %d times: %d %q", asked.Load(), status, text)
	}
}

// TestAnEngineThatLacksARouteIsNotToBlame: what it has, it is asked for as before.
func TestAnEngineThatLacksARouteIsNotToBlame(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		says   string
		first  string // who is asked to chat next
	}{
		"as llama.cpp has it":      {http.StatusNotImplemented, `{"error":{"code":501,"message":"This server does not support embeddings."}}`, "a"},
		"as FastAPI has it":        {http.StatusNotFound, `{"detail":"Not Found"}`, "a"},
		"as a page":                {http.StatusMethodNotAllowed, "no", "a"},
		"it has failed":            {http.StatusInternalServerError, `{"error":{"message":"boom"}}`, "b"},
		"it has not got the model": {http.StatusNotFound, `{"error":{"message":"no such model","code":"model_not_found"}}`, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			chat := says(`{"id":"1","choices":[{"message":{"content":"hello"},"finish_reason":"stop"}]}`)
			var asked atomic.Int32
			none := boom(&asked, tt.status, tt.says)
			f.add("a", func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/embeddings" {
					none(w, r)
					return
				}
				chat(w, r)
			})
			f.add("b", says(`{"data":[],"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}]}`))
			for range 3 {
				if status, _, text := f.ask("/v1/embeddings", `{"model":"bee"}`); status != http.StatusOK {
					t.Fatalf("%d %s", status, text)
				}
			}
			if n := asked.Load(); n != 1 {
				t.Errorf("the first was asked %d times", n)
			}
			if _, header, _ := f.ask("/v1/chat/completions", `{"model":"bee"}`); header.Get("X-Rbee-Worker") != tt.first {
				t.Errorf("%s is asked to chat", header.Get("X-Rbee-Worker"))
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
	said := func(text string) string { return `{"error":{"message":"` + text + `"}}` }
	long := said(strings.Repeat("x", maxKept+1))
	const hint = "where it goes on failing, `rbee worker delete a --hive gpu1` ends it"
	ofA := `{"error":{"hint":"` + hint + `","message":"worker a of gpu1, which runs bee: boom a (` + hint + `)"}}` // `rbee chat` shows it apart
	for name, tt := range map[string]struct {
		first, second string
		status        int // of the second
		divided       bool
		want          string
		asked         int32 // of the second
	}{
		"there is no other":             {first: said("boom a"), want: ofA},
		"the other one fails, too":      {said("boom a"), "boom b", http.StatusInternalServerError, false, ofA, 1},
		"the other one is stopping":     {said("boom a"), "stopping", http.StatusServiceUnavailable, false, ofA, 1},
		"it is too long to be kept":     {long, "boom b", http.StatusInternalServerError, false, long, 0},
		"its model is divided":          {first: said("boom a"), divided: true, want: ofA},
		"the other one has its timeout": {said("boom a"), "boom b", http.StatusGatewayTimeout, false, ofA, 1},
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
	const a = "worker a of gpu1, which runs bee: boom a"
	if x.Decisions[0].Failed != a || x.Decisions[1].Failed != "worker b of gpu1, which runs bee: b is stopping" || x.Error != a || x.Hint == "" {
		t.Errorf("of one that all have failed: %+v", x)
	}
	f = newFarm(t)
	f.add("a", events("hello", "BREAK"))
	_, header, _ = f.ask("/v1/completions", streamed)
	if x, err = f.schedule.Explain(header.Get(JobHeader)); err != nil || len(x.Decisions) != 1 || !strings.Contains(x.Decisions[0].Failed, "broke its answer off") {
		t.Errorf("of one that broke off: %+v, %v", x, err)
	}
}

// TestAnEnginesStatusSaysWhoIsAskedNext: another worker that there is where the engine is
// at fault, one that is started too where the worker itself is, nobody where the request
// is.
func TestAnEnginesStatusSaysWhoIsAskedNext(t *testing.T) {
	const ofEngine, ofWorker = `{"error":{"message":"no","type":"some_error"}}`, `{"error":{"message":"no","code":"unavailable"}}`
	for _, tt := range []struct {
		status int
		body   string
		fault  schedule.Fault
		alone  int // what the client gets where there is no other
	}{
		{400, ofEngine, schedule.OfRequest, 400},
		{413, ofEngine, schedule.OfRequest, 413},
		{422, ofEngine, schedule.OfRequest, 422},
		{404, ofEngine, schedule.OfEngine, 404},
		{409, ofEngine, schedule.OfEngine, 409},
		{429, ofEngine, schedule.OfEngine, 429},
		{500, ofEngine, schedule.OfEngine, 500},
		{501, ofEngine, schedule.OfEngine, 501},
		{502, ofEngine, schedule.OfEngine, 502},
		{503, ofEngine, schedule.OfEngine, 503},
		{529, ofEngine, schedule.OfEngine, 529},
		{401, ofEngine, schedule.OfEngine, 502},
		{307, ofEngine, schedule.OfEngine, 502},
		{405, "", schedule.OfEngine, 404},
		{503, ofWorker, schedule.OfWorker, 503},
	} {
		t.Run(strconv.Itoa(tt.status)+tt.body, func(t *testing.T) {
			var asked, other, started atomic.Int32
			hello := tallied(&other, says(`{"id":"1","choices":[{"message":{"content":"hello"},"finish_reason":"stop"}]}`))
			ask := func(beside bool) (status int, text string) {
				f := newFarm(t)
				f.start = func(context.Context, string) (ops.Worker, error) {
					started.Add(1)
					return ops.Worker{}, ops.Errorf(ops.CodeUnavailable, "there is no room")
				}
				f.models = append(f.models, ops.Model{ID: "bee", HiveID: "gpu1"})
				f.add("a", boom(&asked, tt.status, tt.body))
				if beside {
					f.add("b", hello)
				}
				status, _, text = f.ask("/v1/chat/completions", `{"model":"bee"}`)
				return status, text
			}
			if status, text := ask(false); status != tt.alone || asked.Load() != 1 || (started.Load() > 0) != (tt.fault == schedule.OfWorker) {
				t.Errorf("alone: %d %s; %d asked, %d started", status, text, asked.Load(), started.Load())
			}
			want := http.StatusOK
			if tt.fault == schedule.OfRequest {
				want = tt.status
			}
			if status, text := ask(true); status != want || (other.Load() == 1) != (want == http.StatusOK) {
				t.Errorf("beside another: %d %s", status, text)
			}
		})
	}
}

// TestAnErrorWithTheStatusOfAnAnswerIsNone: it is an error in each dialect, and asked for
// elsewhere unless it is the request's.
func TestAnErrorWithTheStatusOfAnAnswerIsNone(t *testing.T) {
	const good = `{"id":"1","choices":[{"message":{"content":"hello"},"text":"hello","finish_reason":"stop"}],"error":null}`
	for said, want := range map[string]int{
		`{"error":{"message":"soft","code":13}}`:        http.StatusBadGateway,
		`{"error":"soft"}`:                              http.StatusBadGateway,
		`{"error":{"message":"soft","code":400}}`:       http.StatusBadRequest,
		`{"object":"error","message":"soft","error":0}`: http.StatusBadGateway,
	} {
		for path, shape := range map[string]string{
			"/v1/chat/completions": `"message":"`, "/v1/messages": `"type":"` + map[bool]string{true: "invalid_request_error", false: "api_error"}[want == 400], "/api/chat": `{"error":"`,
		} {
			const body = `{"model":"bee","stream":false,"max_tokens":9,"messages":[{"role":"user","content":"x"}]}`
			f := newFarm(t)
			f.add("a", says(said))
			if status, header, text := f.ask(path, body); status != want || !strings.Contains(text, shape) || !strings.Contains(text, "soft") || header.Get("X-Rbee-Worker") != "a" {
				t.Errorf("%s, alone: %s is %d %s %v", path, said, status, text, header)
			}
			f.add("b", says(good))
			if want == http.StatusBadGateway {
				want, shape := http.StatusOK, "hello"
				if status, _, text := f.ask(path, body); status != want || !strings.Contains(text, shape) {
					t.Errorf("%s, beside another: %s is %d %s", path, said, status, text)
				}
			} else if status, _, _ := f.ask(path, body); status != want {
				t.Errorf("%s, beside another: %s is %d", path, said, status)
			}
		}
	}
	f := newFarm(t)
	f.add("a", says(`{"object":"response","status":"failed","error":{"code":"server_error","message":"soft"}}`))
	if status, _, text := f.ask("/v1/responses", `{"model":"bee"}`); status != http.StatusOK || !strings.Contains(text, `"failed"`) {
		t.Errorf("a response that has failed: %d %s", status, text)
	}
}

// TestWhatBreaksOffIsToldAlikeInEachDialect: by whom, and why, and whose error it is.
func TestWhatBreaksOffIsToldAlikeInEachDialect(t *testing.T) {
	const died = `worker a of gpu1, which runs bee: python3 ended (exit status 5)`
	for name, h := range map[string]http.HandlerFunc{
		died: events(`{"id":"1","choices":[{"delta":{"content":"hel"}}]}`, `{"error":{"message":"`+died+` (ask again)","type":"server_error","code":"unavailable","hint":"ask again"}}`),
		"worker a of gpu1, which runs bee: it broke its answer off in the middle": events(`{"id":"1","choices":[{"delta":{"content":"hel"}}]}`, "BREAK"),
	} {
		for path, shape := range map[string]string{
			"/v1/chat/completions": `data: {"error":{"message":"` + name + ` (ask again`, "/v1/messages": `data: {"error":{"message":"` + name + ` (ask again`, "/api/chat": `{"error":"` + name + ` (ask again`,
		} {
			f := newFarm(t)
			f.add("a", h)
			_, _, text := f.ask(path, `{"model":"bee","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"x"}]}`)
			if !strings.Contains(text, shape) || path == "/v1/messages" && !strings.Contains(text, `"type":"api_error"`) {
				t.Errorf("%s: %s", path, text)
			}
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
		"a key is wanted":              {"/v1/chat/completions", "{}", 401, `{"error":{"message":"no key","code":401}}`, 502, "worker a of gpu1, which runs bee: no key (its engine wants a key of its own"},
		"it has no such model":         {"/v1/chat/completions", "{}", 404, `{"error":{"message":"The model does not exist.","code":404}}`, 404, `"The model does not exist."`},
		"it has no such route":         {"/v1/rerank", "{}", 404, `{"error":{"message":"File Not Found","type":"not_found_error","code":404}}`, 404, "the model's engine has no /v1/rerank"},
		"it was not started for that":  {"/v1/embeddings", "{}", 501, `{"error":{"message":"no embeddings","type":"not_supported_error","code":501}}`, 404, "--flag embeddings, and --flag pooling=mean too unless"},
		"the request is too long":      {"/v1/messages", `{"max_tokens":9,"messages":[{"role":"user","content":"x"}]}`, 400, `{"error":{"message":"too long","type":"invalid_request_error","code":400}}`, 400, `"message":"too long"`},
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
			if status, _, text := f.ask(path, body); status != http.StatusBadGateway || strings.Contains(text, "oops") {
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
