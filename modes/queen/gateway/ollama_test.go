package gateway

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

func TestWhatThereIsIsToldInOllamasWords(t *testing.T) {
	f := newFarm(t)
	f.models[0] = ops.Model{ID: "bee", Architecture: "llama", Parameters: 1_700_000, Quantization: "Q8_0", Size: 7, Context: 512, Source: "built-in", Abilities: []ops.Ability{ops.AbilityCompletion, ops.AbilityTools}}
	f.add("w", events())
	until := time.Date(2026, 11, 25, 13, 0, 0, 0, time.UTC)
	f.workers[0].UnloadsAt, f.workers[0].Device = &until, "cuda:0"
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		want                     []string
	}{
		{"the models", "GET", "/api/tags", "", 200, []string{`"name":"bee:latest","model":"bee:latest"`, `"family":"llama"`, `"parameter_size":"1.7M"`}},
		{"those that are loaded", "GET", "/api/ps", "", 200, []string{`"name":"bee:latest","model":"bee:latest"`, `"expires_at":"2026-11-25T13:00:00Z"`, `"size_vram":7`}},
		{"one of them", "POST", "/api/show", `{"model":"bee:latest"}`, 200, []string{`"llama.context_length":512`, `"capabilities":["completion","tools"]`}},
		{"one by its older member", "POST", "/api/show", `{"name":"bee"}`, 200, []string{`"quantization_level":"Q8_0"`}},
		{"one that is not there", "POST", "/api/show", `{"model":"bea"}`, 404, []string{`{"error":"there is no model \"bea\"`}},
		{"one whose file is broken", "POST", "/api/show", `{"model":"broken"}`, 404, []string{`{"error":"`}},
		{"what rbee has not", "DELETE", "/api/delete", `{"model":"bee"}`, 404, []string{`{"error":"rbee has no DELETE /api/delete`}},
		{"whether anybody is there", "HEAD", "/", "", 200, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, _, text := f.send(tt.method, tt.path, tt.body, nil)
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("%s is not in %s", want, text)
				}
			}
			if status != tt.status {
				t.Errorf("%d, want %d", status, tt.status)
			}
		})
	}
}

// TestAModelIsOnACardWhereThereIsOne: what chooses for itself uses none that is not there.
func TestAModelIsOnACardWhereThereIsOne(t *testing.T) {
	for _, tt := range []struct {
		device string
		cards  bool
		want   string
	}{
		{"cuda:0,cuda:1", true, `"size_vram":7`},
		{"cpu", true, `"size_vram":0`},
		{"auto", true, `"size_vram":7`},
		{"auto", false, `"size_vram":0`},
	} {
		f := newFarm(t)
		f.models[0].Size, f.cards = 7, tt.cards
		f.add("w", events())
		f.workers[0].Device = tt.device
		if _, _, text := f.send("GET", "/api/ps", "", nil); !strings.Contains(text, tt.want) {
			t.Errorf("%s, cards %v: %s", tt.device, tt.cards, text)
		}
	}
}

func TestAModelIsLoadedByAnEmptyRequest(t *testing.T) {
	for path, want := range map[string]string{
		"/api/generate": `{"model":"bee","response":"","done":true,"done_reason":"load"}`,
		"/api/chat":     `{"model":"bee","message":{"role":"assistant","content":""},"done":true,"done_reason":"load"}`,
	} {
		f := newFarm(t)
		f.start = func(context.Context, string) (ops.Worker, error) {
			return f.add("w", func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, `{"asked":"`+r.Method+" "+r.URL.Path+`"}`)
			}), nil
		}
		_, _, text := f.ask(path, `{"model":"bee"}`)
		same(t, path, strings.ReplaceAll(timeless(text), ",}", "}"), want)
		if len(f.workers) != 1 {
			t.Errorf("%s: %d workers", path, len(f.workers))
		}
	}
}

func TestOllamasToolResultsAnswerTheirCalls(t *testing.T) {
	f := newFarm(t)
	body := f.told(`{"choices":[]}`, false)
	f.ask("/api/chat", `{"model":"bee","stream":false,"messages":[
		{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}},{"function":{"name":"f","arguments":{"a":2}}}]},
		{"role":"tool","tool_name":"f","content":"one"},{"role":"tool","tool_name":"f","content":"two"},{"role":"tool","tool_name":"g","content":"three"}]}`)
	for _, want := range []string{`"id":"call_0_0"`, `"id":"call_0_1"`, `"content":"one","tool_call_id":"call_0_0"`, `"content":"two","tool_call_id":"call_0_1"`, `"content":"three","tool_call_id":"g"`} {
		if !strings.Contains(*body, want) {
			t.Errorf("%s is not in %s", want, *body)
		}
	}
}

func TestOllamasRoutesAnswerAsItsClientsExpect(t *testing.T) {
	f := newFarm(t)
	f.models = []ops.Model{{ID: "bee"}}
	asked := f.told(`{"data":[{"id":"bee"}]}`, false)
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/", "", 200, "Ollama is running"},
		{"HEAD", "/", "", 200, ""},
		{"GET", "/api/chat", "", 405, "ask by POST"},
		{"POST", "/api/tags", "{}", 405, "ask by GET"},
		{"POST", "/api/pull", "{}", 404, "rbee model download"},
		{"GET", "/api/nothing", "", 404, `{"error":"rbee has no GET /api/nothing (there are chat, generate,`},
		{"POST", "/api/show", "{}", 400, `{"error":"model: must be given"}`},
		{"POST", "/api/generate", `{"model":"bee","keep_alive":"soon"}`, 400, `keep_alive: must be seconds, or a time as \"5m\", got \"soon\"`},
		{"POST", "/api/chat", `{"model":"bee","keep_alive":{},"messages":[{"role":"user","content":"x"}]}`, 400, `keep_alive: must be`},
		{"POST", "/api/embed", `{"model":"bee","input":"x","keep_alive":"soon"}`, 400, `keep_alive: must be`},
		{"POST", "/api/embeddings", `{"model":"bee","prompt":"x","keep_alive":[]}`, 400, `keep_alive: must be`},
		{"POST", "/api/chat", "{}", 400, "model: must be given"},
		{"POST", "/api/generate", `{"model":"bee","keep_alive":0}`, 200, `"done_reason":"unload"`},
		{"POST", "/api/chat", `{"model":"bee:latest","keep_alive":"0s"}`, 200, `{"model":"bee:latest",`},
		{"POST", "/api/chat", `{"model":"bea","keep_alive":"0"}`, 404, `did you mean`},
	} {
		status, _, text := f.send(tt.method, tt.path, tt.body, nil)
		if status != tt.status || !strings.Contains(text, tt.want) {
			t.Errorf("%s %s %s: %d %s", tt.method, tt.path, tt.body, status, text)
		}
	}
	if *asked != "" {
		t.Errorf("a worker was asked: %s", *asked)
	}
	for _, keep := range []string{`"5m"`, `-1`, `null`} {
		if _, _, text := f.ask("/api/generate", `{"model":"bee","keep_alive":`+keep+`}`); !strings.Contains(text, `"done_reason":"load"`) {
			t.Errorf("keep_alive %s: %s", keep, text)
		}
	}
}

func TestOllamasAnswersTellHowLongTheEngineTook(t *testing.T) {
	const took = `"timings":{"prompt_ms":0.002,"predicted_ms":0.003}`
	f := newFarm(t)
	f.told(`{"choices":[{"message":{"content":"hi"}}],`+took+`}`, false)
	want := []string{`"prompt_eval_duration":2000,`, `"eval_duration":3000`, `"load_duration":`}
	for body, stream := range map[string]bool{`{"model":"bee","prompt":"x","stream":false}`: false, `{"model":"bee","prompt":"x"}`: true} {
		if stream {
			f = newFarm(t)
			f.told(`{"choices":[{"delta":{"content":"hi"}}]}`+"\n"+`{"choices":[{"delta":{}}],`+took+"}\n[DONE]", true)
		}
		_, _, text := f.ask("/api/generate", body)
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%s: no %s in %s", body, part, text)
			}
		}
	}
}

func TestAnAnswerOfUnknownLengthHasItsHead(t *testing.T) {
	f := newFarm(t)
	status := http.StatusOK
	f.add("w", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = http.NewResponseController(w).Flush() // its length is not told
		_, _ = w.Write([]byte(map[bool]string{true: `{"data":[{"embedding":[1]}]}`, false: `{"error":{"message":"odd"}}`}[status == http.StatusOK]))
	})
	for _, status = range []int{http.StatusOK, http.StatusBadRequest} {
		if got, header, text := f.ask("/api/embed", `{"model":"bee","input":"x"}`); got != status || header.Get("Content-Type") != "application/json" {
			t.Errorf("%d: %d %v %s", status, got, header, text)
		}
	}
}

// TestAModelThatIsNotKeptIsUnloaded: by a request that says nothing else, and after one
// that is answered; a worker that has something to do stays.
func TestAModelThatIsNotKeptIsUnloaded(t *testing.T) {
	for name, tt := range map[string]struct{ path, body string }{
		"at once":          {"/api/generate", `{"model":"bee","keep_alive":0}`},
		"by another name":  {"/api/generate", `{"model":"fast","keep_alive":0}`},
		"after an answer":  {"/api/generate", `{"model":"bee","prompt":"x","stream":false,"keep_alive":0}`},
		"after vectors":    {"/api/embed", `{"model":"fast:latest","input":"x","keep_alive":"0s"}`},
		"after one vector": {"/api/embeddings", `{"model":"bee","prompt":"x","keep_alive":0}`},
		"not at all":       {"/api/generate", `{"model":"bee","prompt":"x","stream":false,"keep_alive":"5m"}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			f.aliases = map[string]string{"fast": "bee"}
			f.models[0].Aliases = []string{"fast"}
			f.add("idle", says(`{"id":"1","choices":[{"message":{"content":"so"}}],"data":[{"embedding":[1]}]}`))
			f.add("busy", nil)
			f.mu.Lock()
			f.workers[1].Running, f.workers[1].Slots = 4, 4
			f.mu.Unlock()
			f.tell()
			if status, _, text := f.ask(tt.path, tt.body); status != 200 {
				t.Errorf("%d %s", status, text)
			}
			left := f.Workers()
			if gone := len(left) == 1 && left[0].ID == "busy"; gone != (name != "not at all") {
				t.Errorf("left are %+v", left)
			}
		})
	}
}

// TestAModelThatStaysIsNotSaidToBeUnloaded: one that has something to do. What a
// person's command line has started comes back by it.
func TestAModelThatStaysIsNotSaidToBeUnloaded(t *testing.T) {
	for name, tt := range map[string]struct {
		engine  string
		running int
		want    string
	}{
		"it has nothing to do":  {"llamacpp", 0, "unload"},
		"it has":                {"llamacpp", 1, "load"},
		"it is of command line": {"command", 0, "unload"},
	} {
		f := newFarm(t)
		f.add("w", says(`{}`))
		f.mu.Lock()
		f.workers[0].Engine, f.workers[0].Running = tt.engine, tt.running
		f.mu.Unlock()
		f.tell()
		_, _, text := f.ask("/api/generate", `{"model":"bee","keep_alive":0}`)
		if !strings.Contains(text, `"done_reason":"`+tt.want+`"`) || len(f.Workers()) == 1 != (tt.want == "load") {
			t.Errorf("%s: %s, left are %+v", name, text, f.Workers())
		}
	}
}

// TestWhatWasUnloadedOfAModelCounts: beside one that stays.
func TestWhatWasUnloadedOfAModelCounts(t *testing.T) {
	f := newFarm(t)
	for i, state := range []ops.WorkerState{ops.WorkerLoading, ops.WorkerReady} {
		f.add("w-"+string(state), says(`{}`))
		f.mu.Lock()
		f.workers[i].State = state
		f.mu.Unlock()
	}
	f.tell()
	for _, want := range []string{"unload", "load"} { // the second time there is none but the one that stays
		_, _, text := f.ask("/api/generate", `{"model":"bee","keep_alive":0}`)
		if left := f.Workers(); !strings.Contains(text, `"done_reason":"`+want+`"`) || len(left) != 1 || left[0].State != ops.WorkerLoading {
			t.Errorf("%s, left are %+v; want %s", text, left, want)
		}
	}
}

func TestOllamasOptionsAreHandedOnOrRefused(t *testing.T) {
	f := newFarm(t)
	var got map[string]any
	f.add("w", func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, `{"id":"1","choices":[{"message":{"content":"so"}}]}`)
	})
	options := map[string]any{
		"repeat_penalty": 1.1, "repeat_last_n": 64.0, "presence_penalty": 0.1, "frequency_penalty": 0.2, "typical_p": 0.9, "mirostat": 2.0, "mirostat_tau": 5.0, "mirostat_eta": 0.1,
	}
	if status, _, text := f.ask("/api/generate", string(marshal(map[string]any{"model": "bee", "prompt": "x", "stream": false, "options": options}))); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	for name, want := range options {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	for body, want := range map[string]string{
		`"suffix":"end"`:            "suffix: is not taken here",
		`"format":"xml"`:            `format: must be`,
		`"template":"{{.Prompt}}"`:  "template: is not taken here",
		`"context":[1,2]`:           "context: is not taken here",
		`"context":"so"`:            "context: is not taken here",
		`"raw":true,"images":["x"]`: "images: does not go with raw",
		`"raw":true,"system":"be"`:  "system: does not go with raw",
		`"options":{"seed":1.5}`:    "options.seed: must be a whole number, got 1.5",
		`"options":{"top_k":"few"}`: "options.top_k: must be a whole number, got a text",
		`"options":{"seed":1e300}`:  "options.seed: must be a whole number, got 1e300",
	} {
		if status, _, text := f.ask("/api/generate", `{"model":"bee","prompt":"x",`+body+`}`); status != 400 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
}

// TestOllamasWholeNumbersMayBeWrittenAsFractions: as clients do whose language has one
// kind of numbers.
func TestOllamasWholeNumbersMayBeWrittenAsFractions(t *testing.T) {
	f := newFarm(t)
	asked := f.told(`{"choices":[]}`, false)
	f.ask("/api/generate", `{"model":"bee","prompt":"x","stream":false,"options":{"seed":1.0,"top_k":4e1,"num_predict":4.0,"mirostat":null,"repeat_last_n":-1}}`)
	_, body, _ := strings.Cut(*asked, " ")
	same(t, "the body", body, `{"model":"bee","stream":false,"messages":[{"role":"user","content":"x"}],"seed":1,"top_k":40,"max_tokens":4,"repeat_last_n":-1}`)
	if strings.Contains(body, ".") {
		t.Errorf("a fraction is in %s", body)
	}
}
