package openai

import (
	"context"
	"errors"
	"time"
)

// Generator makes text. It is what an engine in this process gives.
type Generator interface {
	// Generate answers one request. It hands each piece of text to emit as soon
	// as it is there: whole UTF-8 characters, of one or more tokens. When emit
	// fails, with [ErrEnough] or because the client is gone, or when ctx ends,
	// it stops at once. Errors that the client caused carry an *ops.Error.
	Generate(ctx context.Context, r Request, emit func(text string) error) (Outcome, error)
}

// ErrEnough is returned by emit when no more text is wanted.
var ErrEnough = errors.New("enough text")

// Request is what to generate, whatever route it came by.
type Request struct {
	Messages []Message // a conversation; the chat template makes the prompt
	Prompt   string    // a text to continue, where there are no messages
	// Template is what the chat template is given beside the messages, as
	// enable_thinking: its own variables.
	Template map[string]any
	// MaxTokens bounds the answer; 0 is up to the end of the context.
	MaxTokens   int
	Temperature float64
	TopP        float64
	TopK        int
	MinP        float64
	Seed        uint64
}

// Message is one turn of a conversation.
type Message struct {
	Role    string
	Content string
}

// Why a generation ended.
const (
	FinishStop   = "stop"   // the model ended it, or a stop text
	FinishLength = "length" // the bound on tokens or the context's end
)

// Outcome is how a generation went.
type Outcome struct {
	Finish           string
	Stop             string // the stop text that ended it, or ""
	PromptTokens     int
	CompletionTokens int
	// First and Last are when the first and the last token were made, which may be some
	// time before their text is heard; zero is not known.
	First, Last time.Time
}
