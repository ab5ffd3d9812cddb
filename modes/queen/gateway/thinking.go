package gateway

import (
	"encoding/json"
	"slices"

	"rbee.dev/rbee/ops"
)

// thinking is what a request says of whether the model thinks before it answers.
// OpenAI's API has no one word for that: it is handed on in those of llama.cpp, which
// vLLM takes, too.
type thinking struct {
	asked  *bool  // nil leaves it to the model
	effort string // low, medium or high; "" leaves it to the model
	budget int    // tokens that it may think for, 0 is no bound
}

// put says so in the body of a chat completion.
func (t thinking) put(body map[string]any) {
	arguments := map[string]any{}
	put(arguments, "enable_thinking", t.asked)
	if t.effort != "" {
		arguments["reasoning_effort"], body["reasoning_effort"] = t.effort, t.effort
	}
	if len(arguments) > 0 {
		body["chat_template_kwargs"] = arguments
	}
	if t.budget > 0 {
		body["thinking_budget_tokens"] = t.budget
	}
}

// efforts are how much a model can be asked to think.
var efforts = []string{"low", "medium", "high"}

// thinks is what Ollama's requests say: true, false, or how much.
func (o ollamaRequest) thinks() (t thinking, err error) {
	if len(o.Think) == 0 || string(o.Think) == "null" {
		return t, nil
	}
	var asked bool
	if json.Unmarshal(o.Think, &asked) == nil {
		t.asked = &asked
		return t, nil
	}
	if json.Unmarshal(o.Think, &t.effort) != nil || !slices.Contains(efforts, t.effort) {
		return t, ops.Invalid("think", `must be true, false, "low", "medium" or "high", got %s`, o.Think)
	}
	asked = true
	t.asked = &asked
	return t, nil
}

// anthropicThinking is whether the model thinks, and how long.
type anthropicThinking struct {
	Type   string `json:"type"`          // enabled, adaptive, disabled
	Budget int    `json:"budget_tokens"` // of enabled; part of max_tokens
}

// thinks is what the request says. Where it says nothing no thoughts are wanted, which
// only models that can leave it are told.
func (a anthropicRequest) thinks(can bool) (t thinking, err error) {
	asked := false
	if a.Thinking == nil {
		if can {
			t.asked = &asked
		}
		return t, nil
	}
	switch t.asked = &asked; a.Thinking.Type {
	case "disabled":
	case "enabled", "adaptive":
		asked, t.budget = true, a.Thinking.Budget
		if e := a.Output.Effort; slices.Contains(efforts, e) {
			t.effort = e
		}
	default:
		return t, ops.Invalid("thinking.type", "must be enabled, adaptive or disabled, got %q", a.Thinking.Type)
	}
	if t.budget < 0 || t.budget >= a.MaxTokens {
		return t, ops.Invalid("thinking.budget_tokens", "must be less than max_tokens, which is %d, got %d", a.MaxTokens, t.budget)
	}
	return t, nil
}
