package gateway

import (
	"bytes"
	"cmp"
	"errors"
	"regexp"
	"strings"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// ending looks at a stream as it passes for whether it came to its end: that of
// chat and text completions is [DONE], that of the responses API one of its last
// events. An error is an end, too; a reason to finish is one for engines that send no
// [DONE].
type ending struct {
	responses bool   // of the responses API
	tail      []byte // the last bytes that passed
	line      []byte // the beginning of the line that is passing
	event     string // the name of the last event
}

// tailKept is how much of a stream's end is looked at for its last events.
const tailKept = 2 << 10

// saw takes what passes.
func (e *ending) saw(text []byte) {
	if e.responses {
		e.lines(text)
		return
	}
	if e.tail = append(e.tail, text...); len(e.tail) > 2*tailKept { // not at each piece
		e.tail = append(e.tail[:0], e.tail[len(e.tail)-tailKept:]...)
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

// failure is the error that the stream ended with, or nil.
func (e *ending) failure() error {
	if e.responses {
		if e.event == "response.failed" || e.event == "error" {
			return errEnded
		}
		return nil
	}
	at := errorMember.FindIndex(e.tail)
	if at == nil {
		return nil
	}
	line := e.tail[bytes.LastIndexByte(e.tail[:at[0]], '\n')+1:]
	line, _, _ = bytes.Cut(line, []byte("\n"))
	data, whole := bytes.CutPrefix(line, []byte("data:"))
	if !whole { // it was too long to be kept
		return errEnded
	}
	return ops.Errorf(ops.CodeInternal, "%w: %s", errEnded, transport.EngineError(0, data).Message)
}

// errEnded says that an engine's error is a stream's end.
var errEnded = errors.New("the engine ended its answer with an error")

// over is how the answer has ended, and why not well.
func (p *reply) over() (how ops.Ended, why error) {
	why = cmp.Or(p.failed, p.refused)
	switch {
	case p.gone:
		return ops.EndedGone, nil
	case why == nil:
		return ops.EndedDone, nil
	case p.given:
		return ops.EndedBroken, why
	}
	return ops.EndedFailed, why
}

// finished reports whether the answer was whole, though no [DONE] came.
func (e *ending) finished() bool { return finishMember.Match(e.tail) }

// What an error event has, and the last event of an answer. No text that a model says
// holds them, since a text's quotes are escaped.
var (
	errorMember  = regexp.MustCompile(`"error"\s*:\s*[{"]`)
	finishMember = regexp.MustCompile(`"finish_reason"\s*:\s*"`)
)

// done is the end of a stream of chat or text completions.
const done = "data: [DONE]\n\n"
