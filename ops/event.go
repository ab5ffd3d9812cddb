package ops

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Event is one thing that a job says while it runs. The union is sealed.
//
//sumtype:decl
type Event interface {
	// Kind is the event's name in the stream; the last event has none.
	Kind() string
	event()
}

// The names of events in a stream.
const (
	KindNarration = "narration"
	KindProgress  = "progress"
	KindToken     = "token"
	KindResult    = "result"
	KindError     = "error"
	KindEnd       = ""
)

// Narration levels.
const (
	LevelInfo = "info"
	LevelWarn = "warn"
)

// NarrationEvent tells a person what is happening.
type NarrationEvent struct {
	Actor  string    `json:"actor"`  // who speaks: queen, hive, worker
	Action string    `json:"action"` // a stable word for machines, as worker_start
	Human  string    `json:"human"`  // the sentence
	Level  string    `json:"level"`  // info or warn
	At     time.Time `json:"at"`     // when, UTC
}

// ProgressEvent feeds a bar.
type ProgressEvent struct {
	Actor  string `json:"actor"`
	Action string `json:"action"` // what progresses; the newest of one action replaces the older
	Done   int64  `json:"done"`
	Total  int64  `json:"total"` // 0 when nobody knows
	Unit   string `json:"unit"`  // bytes, tokens, steps
}

// TokenEvent is a piece of generated text: whole UTF-8 characters, of one or
// several tokens.
type TokenEvent struct {
	Text string `json:"text"`
}

// ResultEvent is what the operation returned, still encoded.
type ResultEvent struct {
	Raw json.RawMessage
}

// ErrorEvent is the failure that ends the job.
type ErrorEvent struct {
	Error
}

// EndEvent is the last event of every job.
type EndEvent struct {
	State   JobState // completed, failed or cancelled
	Message string   // for a failed job: what went wrong, on one line
}

// Kind returns "narration".
func (NarrationEvent) Kind() string { return KindNarration }

// Kind returns "progress".
func (ProgressEvent) Kind() string { return KindProgress }

// Kind returns "token".
func (TokenEvent) Kind() string { return KindToken }

// Kind returns "result".
func (ResultEvent) Kind() string { return KindResult }

// Kind returns "error".
func (ErrorEvent) Kind() string { return KindError }

// Kind returns "": the last event is unnamed.
func (EndEvent) Kind() string { return KindEnd }

func (NarrationEvent) event() {}
func (ProgressEvent) event()  {}
func (TokenEvent) event()     {}
func (ResultEvent) event()    {}
func (ErrorEvent) event()     {}
func (EndEvent) event()       {}

// String is the end's data on the wire: [DONE], [ERROR] message or [CANCELLED].
func (e EndEvent) String() string {
	switch e.State {
	case JobCompleted:
		return "[DONE]"
	case JobCancelled:
		return "[CANCELLED]"
	default:
		return "[ERROR] " + strings.Join(strings.Fields(e.Message), " ")
	}
}

// EncodeEvent returns the data of e for a stream. It never contains a newline.
func EncodeEvent(e Event) ([]byte, error) {
	switch e := e.(type) {
	case EndEvent:
		return []byte(e.String()), nil
	case ResultEvent:
		var b bytes.Buffer
		if err := json.Compact(&b, e.Raw); err != nil {
			return nil, fmt.Errorf("encode result: %w", err)
		}
		return b.Bytes(), nil
	default:
		b, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("encode %s event: %w", e.Kind(), err)
		}
		return b, nil
	}
}

// DecodeEvent is the reverse of [EncodeEvent] for an event named kind. A name
// that this build does not know is an error.
func DecodeEvent(kind string, data []byte) (Event, error) {
	switch kind {
	case KindNarration:
		return decodeEvent[NarrationEvent](data)
	case KindProgress:
		return decodeEvent[ProgressEvent](data)
	case KindToken:
		return decodeEvent[TokenEvent](data)
	case KindError:
		return decodeEvent[ErrorEvent](data)
	case KindResult:
		if !json.Valid(data) {
			return nil, fmt.Errorf("decode result event: not JSON")
		}
		return ResultEvent{Raw: bytes.Clone(data)}, nil
	case KindEnd:
		return decodeEnd(string(data))
	}
	return nil, fmt.Errorf("decode event: unknown kind %q", kind)
}

func decodeEvent[E Event](data []byte) (Event, error) {
	var e E
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("decode %s event: %w", e.Kind(), err)
	}
	return e, nil
}

func decodeEnd(data string) (Event, error) {
	if message, ok := strings.CutPrefix(data, "[ERROR]"); ok {
		return EndEvent{State: JobFailed, Message: strings.TrimSpace(message)}, nil
	}
	switch data {
	case "[DONE]":
		return EndEvent{State: JobCompleted}, nil
	case "[CANCELLED]":
		return EndEvent{State: JobCancelled}, nil
	}
	return nil, fmt.Errorf("decode end of stream: %q is none of [DONE], [ERROR], [CANCELLED]", data)
}
