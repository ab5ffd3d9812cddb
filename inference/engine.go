// Package inference is what rbee's engines have in common: what they are told
// ([Spec]) and what they give ([Engine]). The engines themselves are in the
// packages below it; the worker chooses among them by name.
package inference

import (
	"context"
	"net/http"
	"time"
)

// Spec says what an engine loads, and how it is to run.
type Spec struct {
	// ModelID is the model's name, as clients see it.
	ModelID string
	// ModelPath is the model's GGUF file.
	ModelPath string
	// Device is what to run on, as cpu; "" and auto leave it to the engine.
	Device string
	// Parallel is how many requests run at once; 0 means 4.
	Parallel int
	// ContextLength is how many tokens a request may hold, prompt and answer
	// together; 0 means the model's own length, but at most 4096.
	ContextLength int
	// Threads is how many threads compute; 0 means one for each processor.
	Threads int
	// Flags are settings of the engine's own, each name or name=value. An
	// engine refuses what it does not know and what it would not let a client
	// choose.
	Flags []string
	// PromptCache is how many bytes of the machine's memory an engine may fill
	// with prompts that it has seen, for when they come again; 0 leaves it to the
	// engine, below 0 is none.
	PromptCache int64
	// Program is the file of the program that an engine runs; "" leaves it to
	// the engine to find one.
	Program string
	// Command is the command line of an engine that is one; others ignore it.
	Command string
	// Parts are where else the model's weights go; nil keeps them in one place.
	// An engine that cannot divide a model ignores them.
	Parts Parts
	// Share is how much of the weights stay on a CPU of this machine where there
	// are Parts, above 0 and below 1; 0 leaves it to the engine.
	Share float64
	// Changed is told why, each time that a program which the engine runs has
	// ended by itself and is started again, and nil once it can be used again.
	// It must not wait, and may be nil.
	Changed func(why error)
	// Answer is given why that program has ended, and returns what requests are told
	// of it; nil is just that.
	Answer func(why error) error
	// Silence is how long a program that the engine runs may say nothing to
	// requests that wait, before it counts as hung; 0 means for ever.
	Silence time.Duration
	// Stall is how long such a program may do nothing while it starts, before it
	// is given up; 0 means for ever.
	Stall time.Duration
	// Waits is told now and then, in words, what a start that takes long waits
	// for. It must not wait itself, and may be nil.
	Waits func(what string)
	// Folder is where an engine may keep what lasts as long as itself, as its
	// socket; it must exist, for its owner alone. "" means a temporary one.
	Folder string
}

// Parts are servers on other machines that hold parts of a model.
type Parts interface {
	// Reach returns their addresses on this machine, host:port, once every one
	// can be used, or with the reason why one cannot.
	Reach(ctx context.Context) ([]string, error)
	// Lost returns true as soon as a part is lost that Reach has reached last,
	// without which the engine's program cannot go on, and false when ctx ends.
	Lost(ctx context.Context) bool
	// Explain is given why the engine's program ended, and returns what is said
	// of it: that it was a part, where one was lost.
	Explain(why error) error
}

// The defaults of [Spec].
const (
	DefaultParallel      = 4
	DefaultContextLength = 4096
)

// Engine is a loaded model that answers. Its contract is the ecosystem's own:
// OpenAI's /v1/chat/completions, /v1/completions, /v1/embeddings and
// /v1/models, and /health.
type Engine interface {
	http.Handler
	// Slots is how many requests run at once.
	Slots() int
	// ContextLength is how many tokens each may hold; 0 is not known.
	ContextLength() int
	// Close ends what runs and gives the model up.
	Close() error
}
