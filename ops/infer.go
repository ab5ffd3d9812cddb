package ops

import (
	"context"
	"strings"
)

// Infer generates text. Its job's token events carry the text as it comes.
type Infer struct {
	op[Answer] `kong:"-" json:"-"`
	OnHive
	// Model is a model of the hive's. Empty takes the model that was added
	// last, or the built-in one where none was added.
	Model string `json:"model,omitempty"`
	// Prompt is the text to answer or, with Raw, to continue. Required.
	Prompt string `json:"prompt"`
	// System is an instruction put before the prompt; not with Raw.
	System string `json:"system,omitempty"`
	// Raw gives the prompt to the model as it is, without its chat template.
	Raw bool `json:"raw,omitempty"`
	// MaxTokens bounds the answer, 1 to 1,048,576; 0 means up to the end of
	// the context.
	MaxTokens int `json:"max_tokens,omitempty"`
	// Temperature is 0 (always the likeliest token) to 2; absent means 0.8.
	Temperature *float64 `json:"temperature,omitempty"`
	// TopP keeps the likeliest tokens that together reach this probability,
	// above 0 up to 1; absent means 0.95.
	TopP *float64 `json:"top_p,omitempty"`
	// TopK keeps the K likeliest tokens, 0 to 1,000,000; 0 keeps all; absent
	// means 40.
	TopK *int `json:"top_k,omitempty"`
	// MinP drops tokens less likely than this share of the likeliest, 0 to 1;
	// absent means 0.05.
	MinP *float64 `json:"min_p,omitempty"`
	// Seed makes the choice of tokens repeatable, 0 to 2^53; absent is random.
	Seed *int64 `json:"seed,omitempty"`
	// Stop ends the answer before any of these texts, 16 at most.
	Stop []string `json:"stop,omitempty"`
	// Engine is the engine to use: auto or the name of one.
	Engine string `json:"worker,omitempty"`
	// Device is what to run on: auto, cpu, cuda:0, ….
	Device string `json:"device,omitempty"`
	// WorkerID asks for one particular worker.
	WorkerID string `json:"worker_id,omitempty"`
	// Priority is interactive or batch; empty is interactive.
	Priority Priority `json:"priority,omitempty"`
	// Stream false gives the text in the result only; absent means true.
	Stream *bool `json:"stream,omitempty"`
}

// Sampling defaults of [Infer], which are llama.cpp's.
const (
	DefaultTemperature = 0.8
	DefaultTopP        = 0.95
	DefaultTopK        = 40
	DefaultMinP        = 0.05
)

// MaxPromptBytes bounds Prompt and System together.
const MaxPromptBytes = 4 << 20

// Answer is the result of [Infer].
type Answer struct {
	Text             string  `json:"text"`
	Reasoning        string  `json:"reasoning,omitempty"` // what the model has thought before; no part of Text
	Model            string  `json:"model"`
	HiveID           string  `json:"hive_id"`
	WorkerID         string  `json:"worker_id"`
	JobID            string  `json:"job_id,omitempty"` // what `rbee explain` knows it by; the queen tells it
	FinishReason     string  `json:"finish_reason"`    // stop or length
	PromptTokens     int     `json:"prompt_tokens"`
	CompletionTokens int     `json:"completion_tokens"`
	FirstTokenMS     float64 `json:"first_token_ms"` // from the worker's start of the job
	DurationMS       float64 `json:"duration_ms"`    // of the worker's job
}

// Name returns "infer".
func (Infer) Name() string { return "infer" }

// Validate wants a prompt and checks ranges.
func (o Infer) Validate() error {
	return firstError(
		checkName("hive_id", o.HiveID), checkModelName(o.Model), o.checkPrompt(),
		checkRange("max_tokens", o.MaxTokens, 0, 1<<20),
		checkOptional("temperature", o.Temperature, 0, 2), o.checkTopP(),
		checkOptional("top_k", o.TopK, 0, 1_000_000), checkOptional("min_p", o.MinP, 0, 1),
		checkOptional("seed", o.Seed, 0, 1<<53), o.checkStop(),
		checkEngine(o.Engine), checkDevice(o.Device), checkName("worker_id", o.WorkerID),
		checkPriority(o.Priority))
}

func (o Infer) checkPrompt() error {
	switch {
	case strings.TrimSpace(o.Prompt) == "":
		return Invalid("prompt", "must not be empty")
	case len(o.Prompt)+len(o.System) > MaxPromptBytes:
		return Invalid("prompt", "is %d bytes long, at most %d are taken", len(o.Prompt)+len(o.System), MaxPromptBytes)
	case o.Raw && o.System != "":
		return Invalid("system", "needs the chat template, which raw leaves out")
	}
	return nil
}

func (o Infer) checkTopP() error {
	if o.TopP != nil && !(*o.TopP > 0 && *o.TopP <= 1) { // NaN too
		return Invalid("top_p", "must be above 0 and at most 1, got %v", *o.TopP)
	}
	return nil
}

func (o Infer) checkStop() error {
	if len(o.Stop) > 16 {
		return Invalid("stop", "takes at most 16 texts, got %d", len(o.Stop))
	}
	for _, s := range o.Stop {
		if s == "" {
			return Invalid("stop", "must not be empty")
		}
	}
	return nil
}

func (o Infer) onHive(ctx context.Context, h HiveHandler) (any, error) {
	r, err := h.Infer(ctx, o)
	return done(o, r, err)
}
