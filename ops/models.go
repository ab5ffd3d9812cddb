package ops

import (
	"context"
	"time"
)

// Model is a model on a hive's disk.
type Model struct {
	ID           string `json:"id"`
	HiveID       string `json:"hive_id"`
	Size         int64  `json:"size_bytes"`   // of all its files, a projector too
	Quantization string `json:"quantization"` // the commonest tensor type, as Q8_0
	Architecture string `json:"architecture"` // as the file names it: llama, qwen3, …
	Parameters   int64  `json:"parameters"`   // weights in the file
	Context      int    `json:"context_length"`
	// Memory is about how many bytes it takes to run, with the engine, context and
	// parallel requests that a worker gets where nobody asks for others; 0 is not
	// known.
	Memory  int64     `json:"memory_bytes"`
	Source  string    `json:"source"`           // where it came from: a path, a URL, or "built-in"
	SHA256  string    `json:"sha256,omitempty"` // of its file, in hex; a model of several parts has one for each, in Files
	Path    string    `json:"path"`             // on the hive's machine
	AddedAt time.Time `json:"added_at"`
	Error   string    `json:"error,omitempty"` // why it cannot be used, as one that has come in part only
	Hint    string    `json:"hint,omitempty"`  // what to do about that, or about Refused
	// Refused is why no engine that its hive chooses by itself can run it; absent where
	// one may. Such a model is taken only where it is named.
	Refused string `json:"refused,omitempty"`
	// NotBuiltin is why the builtin engine cannot run it, whatever other engines its hive
	// has; absent where it can.
	NotBuiltin string   `json:"not_builtin,omitempty"`
	Aliases    []string `json:"aliases,omitempty"` // its other names; the queen's to say
	Pinned     bool     `json:"pinned,omitempty"`  // its workers are not unloaded by themselves
	// Abilities is what its file says that it can do; empty is not known.
	Abilities []Ability `json:"abilities,omitempty"`
	// Files is the parts of a model that is split, and what belongs to a model
	// beside its file, as they came; empty where there is nothing but one file, or
	// a person has copied them in.
	Files []FileSum `json:"files,omitempty"`
}

// Ability is something that a model can do, as Ollama's API calls it.
type Ability string

// The abilities.
const (
	AbilityCompletion Ability = "completion" // makes text
	AbilityTools      Ability = "tools"      // its chat template has a place for tools
	AbilityThinking   Ability = "thinking"   // and for thoughts
	AbilityVision     Ability = "vision"     // takes images, by a projector beside it
	AbilityEmbedding  Ability = "embedding"  // makes vectors, not text
)

// BuiltInSource is the Source of the model that comes in the binary.
const BuiltInSource = "built-in"

// Models is the answer to [ModelList].
type Models struct {
	Models []Model `json:"models"`
	// Silent are the hives that did not answer, of which the list is what they said last.
	Silent []string `json:"silent_hives,omitempty"`
}

// ModelDeleted is the answer to [ModelDelete].
type ModelDeleted struct {
	ID     string `json:"id"`
	HiveID string `json:"hive_id"`
	Freed  int64  `json:"freed_bytes"`
}

// ModelDownload brings a model onto a hive's disk.
type ModelDownload struct {
	op[Model] `kong:"-" json:"-"`
	OnHive
	// Model is where it comes from: an absolute path on the hive's machine, an
	// http(s) URL of a GGUF file, or a repository on Hugging Face, as
	// hf:OWNER/REPO, hf:OWNER/REPO:QUANTISATION or hf:OWNER/REPO:FILE.gguf, or
	// another hive's model, as hive:NAME/MODEL.
	Model string `json:"model" arg:"" type:"source" help:"Path of a GGUF file, an http(s) URL, or hf:OWNER/REPO[:QUANT|:FILE]."`
	// ID is the name it gets; empty takes the file's name without .gguf.
	ID string `json:"id,omitempty" name:"name" type:"given" placeholder:"NAME" help:"Name for the model (default: the file's)."`
}

// Name returns "model_download".
func (ModelDownload) Name() string { return "model_download" }

// Validate wants what can be a source and checks the name.
func (o ModelDownload) Validate() error {
	return firstError(checkName("hive_id", o.HiveID), checkSource(o.Model), checkModelID(o.ID))
}

func (o ModelDownload) onHive(ctx context.Context, h HiveHandler) (any, error) {
	r, err := h.ModelDownload(ctx, o)
	return done(o, r, err)
}

// ModelList lists models, of one hive or of all.
type ModelList struct {
	op[Models] `kong:"-" json:"-"`
	OnHive
}

// Name returns "model_list".
func (ModelList) Name() string { return "model_list" }

// Validate checks the hive's name.
func (o ModelList) Validate() error { return checkName("hive_id", o.HiveID) }

func (o ModelList) onHive(ctx context.Context, h HiveHandler) (any, error) {
	r, err := h.ModelList(ctx, o)
	return done(o, r, err)
}

// ModelGet shows one model.
type ModelGet struct {
	op[Model] `kong:"-" json:"-"`
	OnHive
	// ID is the model's name.
	ID string `json:"id" arg:"" help:"Model's name."`
}

// Name returns "model_get".
func (ModelGet) Name() string { return "model_get" }

// Validate wants a name.
func (o ModelGet) Validate() error {
	return firstError(checkName("hive_id", o.HiveID), checkRequired("id", o.ID), checkModelID(o.ID))
}

func (o ModelGet) onHive(ctx context.Context, h HiveHandler) (any, error) {
	r, err := h.ModelGet(ctx, o)
	return done(o, r, err)
}

// ModelDelete removes a model from a hive's disk. A model that a worker uses
// is refused.
type ModelDelete struct {
	op[ModelDeleted] `kong:"-" json:"-"`
	OnHive
	// ID is the model's name.
	ID string `json:"id" arg:"" help:"Model's name."`
}

// Name returns "model_delete".
func (ModelDelete) Name() string { return "model_delete" }

// Validate wants a name.
func (o ModelDelete) Validate() error {
	return firstError(checkName("hive_id", o.HiveID), checkRequired("id", o.ID), checkModelID(o.ID))
}

func (o ModelDelete) onHive(ctx context.Context, h HiveHandler) (any, error) {
	r, err := h.ModelDelete(ctx, o)
	return done(o, r, err)
}
