package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAnthropicsToolsComeAsBlocks(t *testing.T) {
	f := newFarm(t)
	f.told(aCall, true)
	_, _, text := f.ask("/v1/messages", `{"model":"bee","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}`)
	for _, want := range []string{
		`"content_block":{"text":"","type":"text"},"index":0`, `"index":0,"type":"content_block_stop"`,
		`"content_block":{"id":"c1","input":{},"name":"f","type":"tool_use"},"index":1`, `"partial_json":"{\"a\"","type":"input_json_delta"},"index":1`,
		`"partial_json":":1}"`, `"index":1,"type":"content_block_stop"`, `"stop_reason":"tool_use"`, `"type":"message_stop"`,
	} {
		_, rest, ok := strings.Cut(text, want)
		if !ok {
			t.Fatalf("%s is missing, or not in its place: %s", want, text)
		}
		text = rest
	}
}

func TestAnthropicsCountAsksForOneToken(t *testing.T) {
	f := newFarm(t)
	body := f.told(anAnswer, false)
	_, _, text := f.ask("/v1/messages/count_tokens", `{"model":"bee","messages":[{"role":"user","content":"hi"}]}`)
	same(t, "the count", text, `{"input_tokens":3}`)
	if !strings.Contains(*body, `"max_tokens":1`) {
		t.Errorf("asked is %s", *body)
	}
}

func TestAnthropicsClientsListModelsInTheirShape(t *testing.T) {
	f := newFarm(t)
	header := http.Header{"Anthropic-Version": {"2023-06-01"}}
	_, _, text := f.send(http.MethodGet, "/v1/models", "", header)
	if !strings.Contains(text, `"has_more":false`) || !strings.Contains(text, `{"type":"model","id":"bee","display_name":"bee"`) {
		t.Errorf("the list: %s", text)
	}
	if _, _, text = f.send(http.MethodGet, "/v1/models/bee", "", header); !strings.HasPrefix(text, `{"type":"model","id":"bee"`) {
		t.Errorf("one: %s", text)
	}
	if status, _, text := f.send(http.MethodGet, "/v1/models/bea", "", header); status != 404 || !strings.Contains(text, `"type":"not_found_error"`) {
		t.Errorf("none: %d %s", status, text)
	}
}

func TestARefusalHasTheKindOfItsStatus(t *testing.T) {
	for status, want := range map[int]string{
		400: "invalid_request_error", 404: "not_found_error", 413: "request_too_large",
		429: "rate_limit_error", 500: "api_error", 504: "timeout_error",
	} {
		f := newFarm(t)
		f.add("w", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			kind := map[bool]string{true: "invalid_request_error", false: "server_error"}[status < 500]
			_, _ = io.WriteString(w, `{"error":{"message":"no","type":"`+kind+`"}}`)
		})
		got, _, text := f.ask("/v1/messages", `{"model":"bee","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`)
		if got != status {
			t.Errorf("%d became %d", status, got)
		}
		message := "no"
		if status >= 500 { // the engine's fault
			message = "worker w of gpu1, which runs bee: no (where it goes on failing, `rbee worker delete w --hive gpu1` ends it)"
		}
		same(t, "the error", text, `{"type":"error","error":{"type":"`+want+`","message":"`+message+`"}}`)
	}
}

func TestAStopSequenceThatWasMetIsNamed(t *testing.T) {
	const asks = `{"model":"bee","max_tokens":9,"messages":[{"role":"user","content":"x"}],"stop_sequences":["END","x"],"stream":`
	for name, told := range map[string]string{
		"as vLLM tells it":      `"finish_reason":"stop","stop_reason":"END"}]`,
		"as llama.cpp tells it": `"finish_reason":"stop"}],"__verbose":{"stop_type":"word","stopping_word":"END"}`,
	} {
		f := newFarm(t)
		f.told(`{"id":"1","choices":[{"message":{"content":"hi"},`+told+`}`, false)
		if _, _, text := f.ask("/v1/messages", asks+`false}`); !strings.Contains(text, `"stop_reason":"stop_sequence","stop_sequence":"END"`) {
			t.Errorf("%s: %s", name, text)
		}
		f = newFarm(t)
		f.told(`{"id":"1","choices":[{"delta":{"content":"hi"},`+told+"}\n"+`{"id":"1","choices":[],"usage":{"prompt_tokens":1}}`+"\n[DONE]", true)
		if _, _, text := f.ask("/v1/messages", asks+`true}`); !strings.Contains(text, `"delta":{"stop_reason":"stop_sequence","stop_sequence":"END"}`) {
			t.Errorf("%s, streaming: %s", name, text)
		}
	}
	f := newFarm(t)
	f.told(`{"id":"1","choices":[{"message":{"content":"hi"},"finish_reason":"stop","stop_reason":151645}],"__verbose":{"stop_type":"eos","stopping_word":""}}`, false)
	if _, _, text := f.ask("/v1/messages", asks+`false}`); !strings.Contains(text, `"stop_reason":"end_turn","stop_sequence":null`) {
		t.Errorf("none was met: %s", text)
	}
}

func TestWhyAnAnswerEndedIsInAnthropicsWords(t *testing.T) {
	for finish, want := range map[string]string{"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal", "odd": "end_turn"} {
		f := newFarm(t)
		f.told(`{"id":"1","choices":[{"message":{"content":"hi"},"finish_reason":"`+finish+`"}]}`, false)
		if _, _, text := f.ask("/v1/messages", `{"model":"bee","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`); !strings.Contains(text, `"stop_reason":"`+want+`"`) {
			t.Errorf("%s: %s", finish, text)
		}
	}
}

func TestAnthropicsBlocksArePassedOnOrRefused(t *testing.T) {
	for content, want := range map[string]string{
		`[{"type":"document","source":{"type":"text","data":"x"}}]`:                                                        `"document\" are not taken`,
		`[{"type":"tool_result","tool_use_id":"t","content":[{"type":"image","source":{"type":"url","url":"u"}}]}]`:        `of a tool_result: blocks of type \"image\" are not taken here (taken are: text)`,
		`[{"type":"tool_result","tool_use_id":"t","content":[{"type":"search_result"}]},{"type":"text","text":"go"}]`:      `"search_result\" are not taken`,
		`[{"type":"search_result","source":"https://example.org","title":"t","content":[{"type":"text","text":"a"}]}]`:     `"search_result\" are not taken`,
		`[{"type":"tool_result","content":[{"type":"search_result","source":"https://example.org"}]}]`:                     `"search_result\" are not taken`,
		`[{"type":"web_search_tool_result","content":{"type":"web_search_tool_result_error","error_code":"unavailable"}}]`: `"web_search_tool_result\" are not taken`,
		`[{"text":"hi"}]`: "each block must have a type",
		`[{"type":"text","text":"hi"},{"type":"image","source":{"type":"file","file_id":"f1"}}]`: `the source of an image must be of type base64 or url, got \"file\"`,
		`[{"type":"image"}]`:                                              `of type base64 or url, got \"\"`,
		`[{"type":"image","source":{"type":"url"}}]`:                      "must have a url",
		`[{"type":"image","source":{"type":"base64","data":"QUJD"}}]`:     "must have data and a media_type",
		`[{"type":"image","source":{"type":"base64","url":"https://x"}}]`: "must have data and a media_type",
	} {
		f := newFarm(t)
		asked := f.told(`{"choices":[]}`, false)
		status, _, text := f.ask("/v1/messages", `{"model":"bee","max_tokens":9,"messages":[{"role":"user","content":`+content+`}]}`)
		if status != http.StatusBadRequest || !strings.Contains(text, want) || !strings.Contains(text, "messages.0.content") || *asked != "" {
			t.Errorf("%s: %d %s; asked %s", content, status, text, *asked)
		}
	}
	f := newFarm(t)
	asked := f.told(`{"choices":[]}`, false)
	f.ask("/v1/messages", `{"model":"bee","max_tokens":9,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"no such file","is_error":true}]}]}`)
	if !strings.Contains(*asked, `"Error: no such file"`) {
		t.Errorf("the engine is asked %s", *asked)
	}
}

func TestWhatAnthropicsAPIRefusesIsRefusedInItsShape(t *testing.T) {
	const talk = `"messages":[{"role":"user","content":"hi"}]`
	for members, want := range map[string]string{
		`"messages":[]`:   "messages: must have at least one message",
		`"messages":null`: "messages: must have at least one message",
		`"system":"be"`:   "messages: must have at least one message",
		`"messages":[{"role":"user","content":[]}]`:                                                              "messages: must have at least one message",
		talk + `,"output_config":{"format":{"type":"regex"}}`:                                                    "output_config.format.type: must be json_schema",
		talk + `,"output_config":{"format":{"type":"json_schema"}}`:                                              "output_config.format.schema: must be an object",
		talk + `,"output_format":{"type":"json_schema","schema":"{}"}`:                                           "output_config.format.schema: must be an object",
		talk + `,"output_config":{"format":"json_schema"}`:                                                       "output_config.format: must be an object",
		talk + `,"tools":[{"name":"mine","input_schema":{}},{"type":"web_search_20250305","name":"web_search"}]`: `tools.1.type: tools of type \"web_search_20250305\" are not taken here`,
		talk + `,"tools":[{"type":"bash_20250124","name":"bash"}]`:                                               `tools.0.type: tools of type \"bash_20250124\" are not taken here`,
		talk + `,"system":[{"type":"document","source":"x"}]`:                                                    `system: blocks of type \"document\" are not taken here`,
		`"messages":[{"role":"user","content":["hi"]}]`:                                                          "messages.content: must be an object, got a text",
		`"messages":[{"role":"user","content":[{"type":"text","text":3}]}]`:                                      "messages.content.text: must be a text, got a number",
		talk + `,"tool_choice":{"type":"Any"}`:                                                                   `tool_choice.type: must be auto, any, tool or none, got \"Any\"`,
		talk + `,"tool_choice":{}`:                                                                               "tool_choice.type: must be auto",
		talk + `,"tool_choice":{"type":"tool"}`:                                                                  "tool_choice.name: must be given",
		`"messages":[{"role":"user","content":"hi"},{"role":"robot","content":"hi"}]`:                            `messages.1.role: must be user, assistant or system, got \"robot\"`,
		`"messages":[{"content":"hi"}]`:                                                                          "messages.0.role: must be user",
		talk + `,"mcp_servers":[{"type":"url","url":"https://example.org","name":"x"}]`:                          "mcp_servers: are not taken here",
	} {
		for _, path := range []string{"/v1/messages", "/v1/messages/count_tokens"} {
			f := newFarm(t)
			asked := f.told(anAnswer, false)
			status, _, text := f.ask(path, `{"model":"bee","max_tokens":9,`+members+`}`)
			if status != http.StatusBadRequest || !strings.Contains(text, `{"error":{"message":"`+want) || !strings.Contains(text, `"type":"invalid_request_error"},"type":"error"}`) || *asked != "" {
				t.Errorf("%s of %s: %d %s; asked %s", path, members, status, text, *asked)
			}
		}
	}
}

// TestToolsOfTheClientsOwnAreTaken: with the type that says so, or none.
func TestToolsOfTheClientsOwnAreTaken(t *testing.T) {
	for _, kind := range []string{"", `"type":"custom",`, `"type":null,`} {
		f := newFarm(t)
		asked := f.told(anAnswer, false)
		status, _, text := f.ask("/v1/messages", `{"model":"bee","max_tokens":9,"messages":[{"role":"user","content":"hi"}],"mcp_servers":[],"tools":[{`+kind+`"name":"mine","input_schema":{"type":"object"}}]}`)
		if status != http.StatusOK || !strings.Contains(*asked, `"tools":[{"type":"function","function":{"name":"mine","parameters":{"type":"object"}}}]`) {
			t.Errorf("%s: %d %s; asked %s", kind, status, text, *asked)
		}
	}
}
