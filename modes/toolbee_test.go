package modes_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// toolbee is the first word of a command line that makes the test binary an
// engine that calls tools, which no model that the tests have can do: a server
// of OpenAI's API on the socket that is the second word.
const toolbee = "toolbee"

func serveToolbee(socket string) int {
	l, err := net.Listen("unix", socket) //nolint:noctx // does not wait
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	http.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"object":"list","data":[{"id":"toolbee","object":"model"}]}`)
	})
	http.HandleFunc("POST /v1/chat/completions", callTool)
	fmt.Fprintln(os.Stderr, http.Serve(l, nil)) //nolint:gosec // ends with the process
	return 0
}

// said is what the engine looks at of a request.
type said struct {
	Stream   bool
	Messages []struct {
		Role, Content string
		Reasoning     string `json:"reasoning_content"`
	}
	Template struct {
		Thinks *bool `json:"enable_thinking"`
	} `json:"chat_template_kwargs"`
	Tools []struct{ Function struct{ Name string } }
}

// callTool calls the first tool there is, and answers with what it said.
func callTool(w http.ResponseWriter, r *http.Request) {
	var ask said
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil || len(ask.Messages) == 0 {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"error":{"message":"not understood: %v","type":"invalid_request_error"}}`, err)
		return
	}
	last := ask.Messages[len(ask.Messages)-1]
	text, finish := "It is "+last.Content+".", "stop"
	var calls []map[string]any
	ends := strings.Contains(last.Content, "Break off") // after a text: before one another worker is asked
	if last.Role != "tool" && len(ask.Tools) > 0 && !ends {
		text, finish = "", "tool_calls"
		calls = []map[string]any{{"index": 0, "id": "call_7", "type": "function", "function": map[string]any{"name": ask.Tools[0].Function.Name, "arguments": `{"city":"Paris"}`}}}
	}
	thought := ""
	if strings.HasPrefix(last.Content, "Think") && (ask.Template.Thinks == nil || *ask.Template.Thinks) {
		thought = "Hm, " + ask.thoughts() + "so."
	}
	if !ask.Stream {
		w.Header().Set("Content-Type", "application/json")
		message := map[string]any{"role": "assistant", "content": text, "reasoning_content": thought}
		if calls != nil {
			message["tool_calls"] = calls
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "toolbee",
			"choices": []any{map[string]any{"index": 0, "message": message, "finish_reason": finish}},
			"usage":   map[string]int{"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
		})
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(delta map[string]any, finish any) {
		chunk, _ := json.Marshal(map[string]any{
			"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "toolbee",
			"choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finish}},
		})
		_, _ = fmt.Fprintf(w, "data: %s\n\n", chunk)
		_ = http.NewResponseController(w).Flush()
	}
	for piece := range strings.FieldsSeq(thought) {
		send(map[string]any{"reasoning_content": piece + " "}, nil)
	}
	send(map[string]any{"role": "assistant", "content": text}, nil)
	if ends {
		breakOff(w, send, last.Content)
		return
	}
	if calls != nil { // in pieces, as engines have them
		function := calls[0]["function"].(map[string]any) //nolint:errcheck // made above
		function["arguments"] = ""
		send(map[string]any{"tool_calls": calls}, nil)
		for _, piece := range []string{`{"city"`, `:"Paris"}`} {
			send(map[string]any{"tool_calls": []any{map[string]any{"index": 0, "function": map[string]string{"arguments": piece}}}}, nil)
		}
	}
	send(map[string]any{}, finish)
	_, _ = fmt.Fprint(w, "data: [DONE]\n\n")
}

// thoughts are those of the conversation.
func (s said) thoughts() (all string) {
	for _, m := range s.Messages {
		all += m.Reasoning
	}
	return all
}

// breakOff ends a stream as engines do that die: how is in what is asked.
func breakOff(w http.ResponseWriter, send func(delta map[string]any, finish any), how string) {
	piece := ""
	switch {
	case strings.Contains(how, "in a call"):
		send(map[string]any{"tool_calls": []any{map[string]any{"index": 0, "id": "call_7", "type": "function", "function": map[string]string{"name": "weather", "arguments": `{"city"`}}}}, nil)
	case strings.Contains(how, "in a piece"):
		piece = `data: {"id":"chatcmpl-1","choices":[{"delta":{"con`
	case strings.Contains(how, "late"):
		send(map[string]any{}, "stop")
	case strings.Contains(how, "tidily"):
		return
	}
	_, _ = fmt.Fprint(w, piece)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// breaks are the ways to ask for that.
var breaks = []string{"Break off.", "Break off in a call.", "Break off in a piece.", "Break off late.", "Break off tidily."}

// withToolbee gives the queen of p a worker on that engine, with a model of the
// same name.
func (p *place) withToolbee() {
	p.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	p.rbee("model", "download", absolute(filepath.Join("..", "testdata", "tinybee.gguf")), "--name", toolbee)
	p.rbee("worker", "spawn", toolbee, "--engine", "command", "--command", exe+" "+toolbee+" {socket}")
}

// TestToolbeeIsAnEngine holds that what the other tests lean on stands.
func TestToolbeeIsAnEngine(t *testing.T) {
	p := newPlace(t)
	p.withToolbee()
	if out := p.rbee("infer", "-m", toolbee, "sunny"); strings.TrimSpace(out) != "It is sunny." {
		t.Errorf("it says %q", out)
	}
}
