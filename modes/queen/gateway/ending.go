package gateway

import (
	"bytes"
	"regexp"
	"strings"
)

// ending looks at a stream as it passes for whether it came to its end: that of
// chat and text completions is [DONE], that of the responses API one of its last
// events. An error is an end, too.
type ending struct {
	responses bool   // of the responses API
	tail      []byte // the last bytes that passed
	line      []byte // the beginning of the line that is passing
	event     string // the name of the last event
}

// tailKept is how much of a stream's end is looked at for its last event.
const tailKept = 512

// saw takes what passes.
func (e *ending) saw(text []byte) {
	if e.responses {
		e.lines(text)
		return
	}
	if len(text) >= tailKept {
		e.tail = append(e.tail[:0], text[len(text)-tailKept:]...)
		return
	}
	e.tail = append(e.tail, text...)
	if extra := len(e.tail) - tailKept; extra > 0 {
		e.tail = append(e.tail[:0], e.tail[extra:]...)
	}
}

// lines looks for the names of events. Their data may be large.
func (e *ending) lines(text []byte) {
	for len(text) > 0 {
		part, rest, whole := bytes.Cut(text, []byte("\n"))
		e.line = append(e.line, part[:min(len(part), max(0, tailKept-len(e.line)))]...)
		if text = rest; !whole {
			return
		}
		line := string(e.line)
		if name, ok := strings.CutPrefix(line, "event:"); ok {
			e.event = strings.TrimSpace(name)
		} else if _, kind, ok := strings.Cut(line, `"type":"response.`); ok && strings.HasPrefix(line, "data:") { // from those who name no events
			kind, _, _ = strings.Cut(kind, `"`)
			e.event = "response." + kind
		}
		e.line = e.line[:0]
	}
}

// came reports whether the end came.
func (e *ending) came() bool {
	if e.responses {
		switch e.event {
		case "response.completed", "response.failed", "response.incomplete", "error":
			return true
		}
		return false
	}
	text := bytes.TrimSpace(e.tail)
	data, ok := bytes.CutPrefix(text[bytes.LastIndexByte(text, '\n')+1:], []byte("data:"))
	return ok && string(bytes.TrimSpace(data)) == "[DONE]" || errorMember.Match(text)
}

// errorMember is what an error event has. No text that a model says holds it, since
// a text's quotes are escaped.
var errorMember = regexp.MustCompile(`"error"\s*:\s*[{"]`)
