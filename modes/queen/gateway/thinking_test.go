package gateway

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestWhetherAModelThinksIsHandedOn(t *testing.T) {
	const talk = `"messages":[{"role":"user","content":"x"}]`
	const off, on = `{"enable_thinking":false}`, `{"enable_thinking":true}`
	thinks, plain := []ops.Ability{ops.AbilityCompletion, ops.AbilityThinking}, []ops.Ability{ops.AbilityCompletion}
	for name, tt := range map[string]struct {
		path, body string
		can        []ops.Ability
		arguments  string // of the chat template, or "" for none
		effort     string
		budget     float64
		refused    string
	}{
		"ollama, nothing said":              {path: "/api/chat", body: talk},
		"ollama, null":                      {path: "/api/chat", body: `"think":null,` + talk},
		"ollama, no":                        {path: "/api/chat", body: `"think":false,` + talk, arguments: off},
		"ollama, no, of one that cannot":    {path: "/api/chat", body: `"think":false,` + talk, can: plain, arguments: off},
		"ollama, yes":                       {path: "/api/chat", body: `"think":true,` + talk, arguments: on},
		"ollama, yes, of one that can":      {path: "/api/generate", body: `"think":true,"prompt":"x"`, can: thinks, arguments: on},
		"ollama, yes, of one that cannot":   {path: "/api/chat", body: `"think":true,` + talk, can: plain, refused: `think: \"bee\" does not support thinking`},
		"ollama, much":                      {path: "/api/chat", body: `"think":"high",` + talk, arguments: `{"enable_thinking":true,"reasoning_effort":"high"}`, effort: "high"},
		"ollama, what there is not":         {path: "/api/chat", body: `"think":"much",` + talk, refused: `think: must be true, false, \"low\"`},
		"ollama, a number":                  {path: "/api/chat", body: `"think":7,` + talk, refused: "think: must be true"},
		"ollama, yes, raw":                  {path: "/api/generate", body: `"think":true,"raw":true,"prompt":"x"`, refused: "think: goes with a chat template"},
		"ollama, no, raw":                   {path: "/api/generate", body: `"think":false,"raw":true,"prompt":"x"`},
		"anthropic, nothing said":           {path: "/v1/messages", body: `"max_tokens":9,` + talk},
		"anthropic, of one that can":        {path: "/v1/messages", body: `"max_tokens":9,` + talk, can: thinks, arguments: off},
		"anthropic, disabled":               {path: "/v1/messages", body: `"max_tokens":9,"thinking":{"type":"disabled"},` + talk, arguments: off},
		"anthropic, enabled":                {path: "/v1/messages", body: `"max_tokens":2000,"thinking":{"type":"enabled","budget_tokens":1024},` + talk, arguments: on, budget: 1024},
		"anthropic, adaptive":               {path: "/v1/messages", body: `"max_tokens":2000,"thinking":{"type":"adaptive"},"output_config":{"effort":"low"},` + talk, arguments: `{"enable_thinking":true,"reasoning_effort":"low"}`, effort: "low"},
		"anthropic, longer than the answer": {path: "/v1/messages", body: `"max_tokens":9,"thinking":{"type":"enabled","budget_tokens":1024},` + talk, refused: "thinking.budget_tokens: must be less than max_tokens"},
		"anthropic, what there is not":      {path: "/v1/messages", body: `"max_tokens":9,"thinking":{"type":"much"},` + talk, refused: "thinking.type: must be"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			f.models[0].Abilities = tt.can
			var got struct {
				Arguments json.RawMessage `json:"chat_template_kwargs"`
				Effort    string          `json:"reasoning_effort"`
				Budget    float64         `json:"thinking_budget_tokens"`
			}
			f.add("w", func(w http.ResponseWriter, r *http.Request) {
				if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
					t.Error(err)
				}
				_, _ = io.WriteString(w, `{"id":"1","choices":[{"message":{"content":"so"}}]}`)
			})
			status, _, text := f.ask(tt.path, `{"model":"bee","stream":false,`+tt.body+`}`)
			if tt.refused != "" {
				if status != 400 || !strings.Contains(text, tt.refused) {
					t.Errorf("%d %s, want %q", status, text, tt.refused)
				}
				return
			}
			if status != 200 || string(got.Arguments) != tt.arguments || got.Effort != tt.effort || got.Budget != tt.budget {
				t.Errorf("%d: the engine is told %s, %q, %v", status, got.Arguments, got.Effort, got.Budget)
			}
		})
	}
}

// TestThoughtsThatAreNotWantedAreLeftOut: some engines think all the same.
func TestThoughtsThatAreNotWantedAreLeftOut(t *testing.T) {
	for think, want := range map[string]bool{`"think":false`: false, `"think":true`: true, `"think":null`: true} {
		for _, path := range []string{"/api/chat", "/api/generate"} {
			for _, stream := range []string{"true", "false"} {
				f := newFarm(t)
				f.models[0].Abilities = []ops.Ability{ops.AbilityCompletion} // of its file, which the engine need not use
				f.add("w", says(`{"id":"1","choices":[{"message":{"content":"so","reasoning_content":"hm"},"finish_reason":"stop"}]}`))
				if stream == "true" {
					f.servers["w"].Config.Handler = events(`{"id":"1","choices":[{"delta":{"reasoning_content":"hm"}}]}`, `{"id":"1","choices":[{"delta":{"content":"so"},"finish_reason":"stop"}]}`, "[DONE]")
				}
				f.mu.Lock()
				f.workers[0].Engine = "command"
				f.mu.Unlock()
				status, _, text := f.ask(path, `{"model":"bee","stream":`+stream+`,"prompt":"x","messages":[{"role":"user","content":"x"}],`+think+`}`)
				if status != http.StatusOK || strings.Contains(text, "hm") != want || strings.Contains(text, "thinking") != want || !strings.Contains(text, "so") {
					t.Errorf("%s, %s, stream %s: %d %s", path, think, stream, status, text)
				}
			}
		}
	}
}

// TestThoughtsGoBackToTheModel: those that a client gives back in a conversation.
func TestThoughtsGoBackToTheModel(t *testing.T) {
	for path, turn := range map[string]string{
		"/v1/messages": `{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"so"}]}`,
		"/api/chat":    `{"role":"assistant","content":"so","thinking":"hm"}`,
	} {
		f := newFarm(t)
		var got struct{ Messages []message }
		f.add("w", func(w http.ResponseWriter, r *http.Request) {
			if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(w, `{"id":"1","choices":[{"message":{"content":"so","reasoning":"hm"}}]}`)
		})
		_, _, text := f.ask(path, `{"model":"bee","max_tokens":9,"stream":false,"messages":[{"role":"user","content":"x"},`+turn+`]}`)
		if len(got.Messages) != 2 || got.Messages[1].Reasoning != "hm" || got.Messages[1].Content != "so" {
			t.Errorf("%s: the engine is told %+v, and says %s", path, got.Messages, text)
		}
	}
	f := newFarm(t)
	f.add("w", says(`{}`))
	if status, _, text := f.ask("/v1/messages", `{"model":"bee","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"redacted_thinking","data":"x"}]}]}`); status != 400 || !strings.Contains(text, "redacted_thinking") {
		t.Errorf("what only Anthropic can read: %d %s", status, text)
	}
}
