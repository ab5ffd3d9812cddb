package gateway

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// told is a worker that answers with text and keeps the request's body.
func (f *farm) told(text string, stream bool) *string {
	f.t.Helper()
	var body string
	f.add("w", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body = r.URL.Path + " " + string(b)
		if stream {
			events(strings.Split(text, "\n")...)(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	})
	return &body
}

// same compares JSON.
func same(t *testing.T, what, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("%s is no JSON: %v: %s", what, err, got)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

func TestRequestsAreTranslated(t *testing.T) {
	for _, tt := range []struct{ name, path, body, route, want string }{
		{
			"ollama chat", "/api/chat",
			`{"model":"bee:latest","messages":[{"role":"user","content":"hi","images":["QUJD"]},{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]}],"options":{"temperature":0,"num_predict":5,"stop":["x"],"seed":7,"top_k":2},"format":"json","stream":false,"template":"what generate takes","raw":true}`,
			"/v1/chat/completions",
			`{"model":"bee","stream":false,"temperature":0,"max_tokens":5,"stop":["x"],"seed":7,"top_k":2,"response_format":{"type":"json_object"},"messages":[
			  {"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"data:image/png;base64,QUJD"}}]},
			  {"role":"assistant","content":"","tool_calls":[{"index":0,"id":"call_1_0","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]}]}`,
		},
		{
			"ollama generate", "/api/generate", `{"model":"bee","prompt":"hi","system":"be","format":{"type":"object"},"options":{"num_predict":-1}}`, "/v1/chat/completions",
			`{"model":"bee","stream":true,"stream_options":{"include_usage":true},"response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object"}}},
			  "messages":[{"role":"system","content":"be"},{"role":"user","content":"hi"}]}`,
		},
		{"ollama generate, raw", "/api/generate", `{"model":"bee","prompt":"hi","raw":true,"stream":false,"system":"","template":"","images":[],"context":[]}`, "/v1/completions", `{"model":"bee","stream":false,"prompt":"hi"}`},
		{"ollama embed", "/api/embed", `{"model":"bee","input":["a","b"]}`, "/v1/embeddings", `{"model":"bee","input":["a","b"]}`},
		{
			"anthropic", "/v1/messages",
			`{"model":"bee","max_tokens":9,"system":[{"type":"text","text":"be"}],"stop_sequences":["x"],"temperature":0.5,
			  "messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"text","text":"so"},{"type":"tool_use","id":"t1","name":"f","input":{"a":1}}]},
			    {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"42"},{"type":"text","text":"go on"}]}],
			  "tools":[{"name":"f","description":"d","input_schema":{"type":"object"}}],"tool_choice":{"type":"tool","name":"f"}}`,
			"/v1/chat/completions",
			`{"model":"bee","max_tokens":9,"stream":false,"stop":["x"],"verbose":true,"temperature":0.5,
			  "messages":[{"role":"system","content":"be"},{"role":"user","content":"hi"},
			    {"role":"assistant","content":"so","tool_calls":[{"index":0,"id":"t1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},
			    {"role":"tool","content":"42","tool_call_id":"t1"},{"role":"user","content":"go on"}],
			  "tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}],"tool_choice":{"type":"function","function":{"name":"f"}}}`,
		},
		{
			"anthropic, with images and one tool at a time", "/v1/messages",
			`{"model":"bee","max_tokens":9,"tools":[{"name":"f","input_schema":{}}],"tool_choice":{"type":"any","disable_parallel_tool_use":true},
			  "messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image","source":{"type":"url","url":"https://x/y.png"}},
			    {"type":"image","source":{"type":"base64","media_type":"image/gif","data":"QUJD"}}]},{"role":"system","content":"be"}]}`,
			"/v1/chat/completions",
			`{"model":"bee","max_tokens":9,"stream":false,"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"tool_choice":"required","parallel_tool_calls":false,
			  "messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"https://x/y.png"}},
			    {"type":"image_url","image_url":{"url":"data:image/gif;base64,QUJD"}}]},{"role":"system","content":"be"}]}`,
		},
		{
			"anthropic, in several blocks", "/v1/messages",
			`{"model":"bee","max_tokens":9,"system":[{"type":"text","text":"Be brief."},{"type":"text","text":"Answer in German."}],
			  "messages":[{"role":"user","content":[{"type":"text","text":"first"},{"type":"text","text":""},{"type":"text","text":"second"}]},
			    {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]}]}`,
			"/v1/chat/completions",
			`{"model":"bee","max_tokens":9,"stream":false,"messages":[{"role":"system","content":"Be brief.\nAnswer in German."},
			  {"role":"user","content":"first\nsecond"},{"role":"tool","content":"a\nb","tool_call_id":"t"}]}`,
		},
		{
			"anthropic, with a schema", "/v1/messages",
			`{"model":"bee","max_tokens":9,"messages":[{"role":"user","content":"hi"}],"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}}`, "/v1/chat/completions",
			`{"model":"bee","max_tokens":9,"stream":false,"messages":[{"role":"user","content":"hi"}],"response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object"}}}}`,
		},
		{
			"anthropic, with a schema as of old", "/v1/messages",
			`{"model":"bee","max_tokens":9,"messages":[{"role":"user","content":"hi"}],"output_config":{"format":null},"output_format":{"type":"json_schema","schema":{"type":"object"}}}`, "/v1/chat/completions",
			`{"model":"bee","max_tokens":9,"stream":false,"messages":[{"role":"user","content":"hi"}],"response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object"}}}}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFarm(t)
			body := f.told(`{"choices":[]}`, false)
			f.ask(tt.path, tt.body)
			route, text, _ := strings.Cut(*body, " ")
			if route != tt.route {
				t.Errorf("it goes to %s, want %s", route, tt.route)
			}
			same(t, "the body", text, tt.want)
		})
	}
}

const (
	aStream = `{"id":"1","choices":[{"delta":{"role":"assistant","content":"hel"}}]}
{"id":"1","choices":[{"delta":{"content":"lo"}}]}
{"id":"1","choices":[{"delta":{},"finish_reason":"length"}]}
{"id":"1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}
[DONE]`
	aCall = `{"id":"1","choices":[{"delta":{"content":"so"}}]}
{"id":"1","choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]}}]}
{"id":"1","choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}}]}
{"id":"1","choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}]}
[DONE]`
	anAnswer = `{"id":"1","choices":[{"message":{"role":"assistant","content":"hello","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}`
	broken   = `{"id":"1","choices":[{"delta":{"content":"hel"}}]}
BREAK`
)

// timeless takes what is of the moment out of an answer.
func timeless(text string) string {
	return regexp.MustCompile(`("created_at":"[^"]*"|"[a-z_]*duration":[0-9]+),?`).ReplaceAllString(text, "")
}

func TestStreamsAreTranslatedAsTheyCome(t *testing.T) {
	for _, tt := range []struct{ name, path, body, stream, want string }{
		{"ollama chat", "/api/chat", `{"model":"bee","messages":[{"role":"user","content":"x"}]}`, aStream, `{"model":"bee","message":{"role":"assistant","content":"hel"},"done":false}
{"model":"bee","message":{"role":"assistant","content":"lo"},"done":false}
{"model":"bee","message":{"role":"assistant","content":""},"done":true,"done_reason":"length","prompt_eval_count":3,"eval_count":2,}
`},
		{"ollama generate", "/api/generate", `{"model":"bee","prompt":"x"}`, aStream, `{"model":"bee","response":"hel","done":false}
{"model":"bee","response":"lo","done":false}
{"model":"bee","response":"","done":true,"done_reason":"length","prompt_eval_count":3,"eval_count":2,}
`},
		{"ollama, a tool", "/api/chat", `{"model":"bee","messages":[{"role":"user","content":"x"}]}`, aCall, `{"model":"bee","message":{"role":"assistant","content":"so"},"done":false}
{"model":"bee","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},"done":false}
{"model":"bee","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",}
`},
		{"ollama, broken off", "/api/chat", `{"model":"bee","messages":[{"role":"user","content":"x"}]}`, broken, `{"model":"bee","message":{"role":"assistant","content":"hel"},"done":false}
{"error":"worker w of gpu1, which runs bee: it broke its answer off in the middle (ask again; ` + "`rbee worker list`" + ` shows what is left)"}
`},
		{"anthropic", "/v1/messages", `{"model":"bee","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}`, aStream, `event: message_start
data: {"message":{"content":[],"id":"msg_1","model":"bee","role":"assistant","stop_reason":null,"stop_sequence":null,"type":"message","usage":{"input_tokens":0,"output_tokens":0}},"type":"message_start"}

event: content_block_start
data: {"content_block":{"text":"","type":"text"},"index":0,"type":"content_block_start"}

event: content_block_delta
data: {"delta":{"text":"hel","type":"text_delta"},"index":0,"type":"content_block_delta"}

event: content_block_delta
data: {"delta":{"text":"lo","type":"text_delta"},"index":0,"type":"content_block_delta"}

event: content_block_stop
data: {"index":0,"type":"content_block_stop"}

event: message_delta
data: {"delta":{"stop_reason":"max_tokens","stop_sequence":null},"type":"message_delta","usage":{"input_tokens":3,"output_tokens":2}}

event: message_stop
data: {"type":"message_stop"}

`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFarm(t)
			f.told(tt.stream, true)
			_, _, text := f.ask(tt.path, tt.body)
			if diff := cmp.Diff(tt.want, timeless(text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnswersInOnePieceAreTranslated(t *testing.T) {
	for _, tt := range []struct{ name, path, body, answer, want string }{
		{
			"ollama chat", "/api/chat", `{"model":"bee","stream":false,"messages":[{"role":"user","content":"x"}]}`, anAnswer,
			`{"model":"bee","message":{"role":"assistant","content":"hello","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":2}`,
		},
		{
			"ollama embed", "/api/embed", `{"model":"bee","input":"x"}`, `{"data":[{"embedding":[1,2]},{"embedding":[3]}],"usage":{"prompt_tokens":4}}`,
			`{"model":"bee","embeddings":[[1,2],[3]],"prompt_eval_count":4}`,
		},
		{
			"ollama embed, in fewer dimensions", "/api/embed", `{"model":"bee","input":"x","dimensions":2}`,
			`{"data":[{"embedding":[3,4,12]},{"embedding":[0,0,1]},{"embedding":[5]}]}`,
			`{"model":"bee","embeddings":[[0.6,0.8],[0,0],[5]],"prompt_eval_count":0}`,
		},
		{
			"anthropic", "/v1/messages", `{"model":"bee","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`, anAnswer,
			`{"id":"msg_1","type":"message","role":"assistant","model":"bee","content":[{"type":"text","text":"hello"},{"type":"tool_use","id":"c1","name":"f","input":{"a":1}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFarm(t)
			f.told(tt.answer, false)
			_, _, text := f.ask(tt.path, tt.body)
			var whole map[string]any
			if err := json.Unmarshal([]byte(text), &whole); err != nil {
				t.Fatal(err)
			}
			delete(whole, "created_at")
			for name := range whole {
				if strings.HasSuffix(name, "_duration") {
					delete(whole, name)
				}
			}
			same(t, "the answer", string(marshal(whole)), tt.want)
		})
	}
}

func TestErrorsAreInTheDialectsOwnShape(t *testing.T) {
	f := newFarm(t)
	f.add("w", events("[DONE]"))
	for _, tt := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/api/chat", `{"model":"beee","messages":[]}`, 404, `{"error":"there is no model \"beee\" on any hive (did you mean \"bee\"?)"}`},
		{"/api/chat", `{"model":`, 400, `{"error":"the body is not JSON (byte 9)"}`},
		{"/v1/messages", `{"model":"beee","max_tokens":1,"messages":[{"role":"user","content":"x"}]}`, 404, `{"type":"error","error":{"type":"not_found_error","message":"there is no model \"beee\" on any hive (did you mean \"bee\"?)"}}`},
		{"/v1/messages", `{"model":"bee","messages":[{"role":"user","content":"x"}]}`, 400, `{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: must be given, and be at least 1"}}`},
	} {
		status, _, text := f.ask(tt.path, tt.body)
		if status != tt.status {
			t.Errorf("%s %s: %d", tt.path, tt.body, status)
		}
		same(t, tt.path, text, tt.want)
	}
}

func TestWhatAModelThinksIsTranslated(t *testing.T) {
	const stream = `{"id":"1","choices":[{"delta":{"reasoning_content":"hm"}}]}
{"id":"1","choices":[{"delta":{"content":"so"},"finish_reason":"stop"}]}
[DONE]`
	for _, tt := range []struct {
		name, path, body string
		want             []string
		not              string
	}{
		{"ollama", "/api/chat", `{"model":"bee","messages":[{"role":"user","content":"x"}]}`, []string{`"content":"","thinking":"hm"`, `"content":"so"`}, ""},
		{
			"anthropic, asked for", "/v1/messages", `{"model":"bee","max_tokens":2000,"stream":true,"thinking":{"type":"enabled","budget_tokens":1024},"messages":[{"role":"user","content":"x"}]}`,
			[]string{
				`"content_block":{"signature":"","thinking":"","type":"thinking"},"index":0`, `"thinking":"hm","type":"thinking_delta"`, `"type":"content_block_stop"`, `"text":"so"`,
			},
			"",
		},
		{"anthropic, not asked for", "/v1/messages", `{"model":"bee","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}`, []string{`"text":"so"`}, "hm"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFarm(t)
			f.told(stream, true)
			_, _, text := f.ask(tt.path, tt.body)
			if tt.not != "" && strings.Contains(text, tt.not) {
				t.Errorf("%s is in %s", tt.not, text)
			}
			for _, want := range tt.want {
				_, rest, ok := strings.Cut(text, want)
				if !ok {
					t.Fatalf("%s is missing, or not in its place: %s", want, text)
				}
				text = rest
			}
		})
	}
}
