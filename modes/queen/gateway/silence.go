package gateway

import (
	"bytes"
	"encoding/json"
)

// mostSilent is how many events of a stream are held back at most for saying
// nothing yet.
const mostSilent = 16

// silence looks at the beginning of a stream for the first event that says anything.
// Engines begin with one that names the role, before they have computed.
type silence struct {
	at     int // up to where the stream was looked at
	events int // that say nothing
}

// broken returns what the first event says that says anything, once that is there: its
// data, or what stands in the place of it. What was seen before may be handed over again,
// longer.
func (s *silence) broken(seen []byte) (data []byte, is bool) {
	for {
		line, _, whole := bytes.Cut(seen[s.at:], []byte("\n"))
		if !whole {
			return nil, false
		}
		s.at += len(line) + 1
		line = bytes.TrimSpace(line)
		data, event := bytes.CutPrefix(line, []byte("data:"))
		data = bytes.TrimSpace(data)
		switch {
		case event && !saysNothing(data):
			return data, true
		case event:
			if s.events++; s.events == mostSilent {
				return data, true
			}
		case !aside(line):
			return line, true
		}
	}
}

// aside reports whether a line of a stream is a comment, empty, or about an event.
func aside(line []byte) bool {
	name, _, _ := bytes.Cut(line, []byte(":"))
	switch string(name) {
	case "", "event", "id", "retry":
		return true
	}
	return false
}

// saysNothing reports whether a chunk of chat or text completions is one of an answer
// that has not begun: no choice of it has a text, a call or an end.
func saysNothing(data []byte) bool {
	var c struct {
		Choices []struct {
			Text   string                     `json:"text"`
			Delta  map[string]json.RawMessage `json:"delta"`
			Finish *string                    `json:"finish_reason"`
		} `json:"choices"`
		Error    json.RawMessage `json:"error"`
		Progress json.RawMessage `json:"prompt_progress"` // of llama.cpp, for whoever wants to see it
	}
	if json.Unmarshal(data, &c) != nil || len(c.Choices) == 0 || !isNothing(c.Error) || !isNothing(c.Progress) {
		return false
	}
	for _, choice := range c.Choices {
		if choice.Text != "" || choice.Finish != nil && *choice.Finish != "" {
			return false
		}
		for name, value := range choice.Delta {
			if name != "role" && !isNothing(value) {
				return false
			}
		}
	}
	return true
}

// isNothing reports whether a member is not there, or empty.
func isNothing(value json.RawMessage) bool {
	switch string(value) {
	case "", "null", `""`, "[]", "{}":
		return true
	}
	return false
}
