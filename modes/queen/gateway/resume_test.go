package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// chunks are events of a chat's stream with these contents.
func chunks(id string, contents ...string) []string {
	list := []string{`{"id":"` + id + `","created":1,"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`}
	for _, c := range contents {
		list = append(list, `{"id":"`+id+`","created":1,"choices":[{"index":0,"delta":{"content":`+string(marshal(c))+`},"finish_reason":null}]}`)
	}
	return list
}

const (
	finish  = `{"id":"2","created":2,"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	counted = `{"id":"2","created":2,"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}`
	greedy  = `{"model":"bee","stream":true,"temperature":0}`
)

// heard is what a client puts together of a stream.
type heard struct {
	text, arguments, name, finish string
	roles, ends, calls            int
	ids                           map[string]bool
	err                           string
}

func hear(t *testing.T, stream string) heard {
	t.Helper()
	h := heard{ids: map[string]bool{}}
	for line := range strings.Lines(stream) {
		data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			h.ends++
			continue
		}
		var c struct {
			ID      string
			Choices []struct {
				Text  string
				Delta struct {
					Role, Content string
					ToolCalls     []toolCall `json:"tool_calls"`
				}
				FinishReason string `json:"finish_reason"`
			}
			Error struct{ Message string }
		}
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			t.Fatalf("torn: %s", line)
		}
		if h.err += c.Error.Message; c.Error.Message != "" {
			continue
		}
		h.ids[c.ID] = true
		for _, choice := range c.Choices {
			h.text += choice.Text + choice.Delta.Content
			h.finish += choice.FinishReason
			if choice.Delta.Role != "" {
				h.roles++
			}
			for _, call := range choice.Delta.ToolCalls {
				h.arguments, h.name = h.arguments+call.Function.Arguments, h.name+call.Function.Name
				if call.ID != "" {
					h.calls++
				}
			}
		}
	}
	return h
}

// resumed asks two workers, of which the first to be asked breaks off.
func (f *farm) resumed(path, body string, first, second http.HandlerFunc) (text string, asked int) {
	f.t.Helper()
	turn := func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 1 {
			first(w, r)
			return
		}
		second(w, r)
	}
	f.add("a", turn)
	f.add("b", turn)
	_, _, text = f.send(http.MethodPost, path, body, http.Header{ResumeHeader: {"true"}})
	return text, asked
}

func TestAStreamGoesOnWithAnotherWorkerWhereItStopped(t *testing.T) {
	whole := append(chunks("2", "Once", " upon", " a", " time é"), finish, counted, "[DONE]")
	for _, tt := range []struct {
		name          string
		first, second []string
	}{
		{"between two tokens", append(chunks("1", "Once", " upon"), "BREAK"), whole},
		{"where the other one's pieces are larger", append(chunks("1", "On", "ce", " u"), "BREAK"), append(chunks("2", "Once upon a", " time é"), finish, counted, "[DONE]")},
		{"where they are smaller", append(chunks("1", "Once upon a"), "BREAK"), append(chunks("2", "O", "n", "ce", " ", "upon a time", " é"), finish, counted, "[DONE]")},
		{"before its end", append(chunks("1", "Once upon a time é"), "BREAK"), whole},
		{"behind its finish", append(chunks("1", "Once upon a time é"), finish, "BREAK"), whole},
		{"by an error of the engine's", append(chunks("1", "Once"), `{"error":{"message":"the engine has died","type":"server_error"}}`), whole},
		{"in silence", chunks("1", "Once"), whole},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFarm(t)
			text, asked := f.resumed("/v1/chat/completions", greedy, events(tt.first...), events(tt.second...))
			h := hear(t, text)
			if h.text != "Once upon a time é" || h.finish != "stop" || h.ends != 1 || h.roles != 1 || h.err != "" || asked != 2 {
				t.Errorf("after %d workers %+v of %s", asked, h, text)
			}
			if !strings.Contains(text, ": queen: ") || !strings.Contains(text, "goes on with it") || !strings.Contains(text, `"completion_tokens":4`) {
				t.Errorf("the story or the count is missing: %s", text)
			}
			if tt.name != "behind its finish" && (len(h.ids) != 1 || !h.ids["1"]) {
				t.Errorf("it has the ids %v", h.ids)
			}
		})
	}
}

func TestATornEventIsNotPassedOnWhereItCanBeSaidAgain(t *testing.T) {
	f := newFarm(t)
	torn := func(w http.ResponseWriter, r *http.Request) {
		events(chunks("1", "On")...)(w, r)
		_, _ = w.Write([]byte(`data: {"id":"1","choi`))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	text, _ := f.resumed("/v1/chat/completions", greedy, torn, events(append(chunks("2", "Once"), finish, "[DONE]")...))
	if h := hear(t, text); h.text != "Once" || h.err != "" || h.ends != 1 {
		t.Errorf("%+v of %s", h, text)
	}
}

func TestTextCompletionsAndToolCallsGoOnToo(t *testing.T) {
	f := newFarm(t)
	text, _ := f.resumed("/v1/completions", `{"model":"bee","stream":true,"temperature":0.7,"seed":7}`,
		events(`{"choices":[{"index":0,"text":"On"}]}`, "BREAK"), events(`{"choices":[{"index":0,"text":"Once"}]}`, `{"choices":[{"index":0,"text":"","finish_reason":"stop"}]}`, "[DONE]"))
	if h := hear(t, text); h.text != "Once" || h.finish != "stop" || h.ends != 1 || h.err != "" {
		t.Errorf("%+v of %s", h, text)
	}
	call := func(id, more string) string {
		return `{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,` + id + `"function":{` + more + `}}]}}]}`
	}
	f = newFarm(t)
	text, _ = f.resumed("/v1/chat/completions", greedy,
		events(call(`"id":"x","type":"function",`, `"name":"weather","arguments":""`), call("", `"arguments":"{\"city\""`), "BREAK"),
		events(call(`"id":"y","type":"function",`, `"name":"weather","arguments":"{"`), call("", `"arguments":"\"city\":\"Paris\"}"`), finish, "[DONE]"))
	if h := hear(t, text); h.name != "weather" || h.arguments != `{"city":"Paris"}` || h.calls != 1 || h.ends != 1 || h.err != "" {
		t.Errorf("%+v of %s", h, text)
	}
}

func TestAStreamGoesOnInOtherDialects(t *testing.T) {
	whole := append(chunks("2", "Once", " upon"), finish, "[DONE]")
	for path, body := range map[string]string{
		"/v1/messages": `{"model":"bee","max_tokens":9,"temperature":0,"stream":true,"messages":[{"role":"user","content":"x"}]}`,
		"/api/chat":    `{"model":"bee","options":{"seed":3},"messages":[{"role":"user","content":"x"}]}`,
	} {
		f := newFarm(t)
		text, asked := f.resumed(path, body, events(append(chunks("1", "Once"), "BREAK")...), events(whole...))
		if strings.Count(text, "Once") != 1 || strings.Count(text, " upon") != 1 || strings.Contains(text, "error") || asked != 2 {
			t.Errorf("%s, after %d workers: %s", path, asked, text)
		}
	}
}

func TestWhatCannotGoOnEndsWithAnError(t *testing.T) {
	begun := events(append(chunks("1", "Once", " upon"), "BREAK")...)
	for _, tt := range []struct {
		name, body    string
		first, second http.HandlerFunc
		asked         int
		says          string
	}{
		{"it would be another each time", streamed, begun, nil, 1, "broke its answer off"},
		{"the other one says something else", greedy, begun, events(append(chunks("2", "Once", " after"), finish, "[DONE]")...), 2, "another worker answers otherwise"},
		{"the other one says less", greedy, begun, events(append(chunks("2", "Once"), finish, "[DONE]")...), 2, "another worker answers otherwise"},
		{"the request is wrong", greedy, events(append(chunks("1", "Once"), `{"error":{"message":"too long","type":"invalid_request_error"}}`)...), nil, 1, "too long"},
		{"they all break off", greedy, begun, begun, 2, "broke its answer off"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFarm(t)
			text, asked := f.resumed("/v1/chat/completions", tt.body, tt.first, tt.second)
			h := hear(t, text)
			if h.ends != 0 || !strings.Contains(h.err, tt.says) || asked != tt.asked || strings.Contains(h.text, "OnceOnce") {
				t.Errorf("after %d workers: %+v of %s", asked, h, text)
			}
		})
	}
}
