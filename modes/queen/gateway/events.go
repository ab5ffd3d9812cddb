package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// copyEvents copies a stream of that worker's, which end looks at, by whole lines:
// a piece of one is held until the rest comes, unless it is long and no error.
func (p *reply) copyEvents(body io.Reader, by *ops.Worker, end *ending) error {
	buf := smallBuffers.Get().(*[]byte)
	defer smallBuffers.Put(buf)
	held, room := 0, *buf
	for {
		n, err := body.Read(room[held:])
		text := room[:held+n]
		whole := bytes.LastIndexByte(text, '\n') + 1
		if err != nil || whole == 0 && len(text) == len(room) && !isLongError(text) {
			whole = len(text)
		}
		if whole > 0 {
			out := p.named(text[:whole], by)
			if p.write(out, true) != nil {
				return errGone
			}
			end.saw(out)
		}
		if held = copy(room, text[whole:]); held == len(room) {
			room = append(room, make([]byte, 3*held)...)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// isLongError reports whether the beginning of a line may be that of an error, which is
// held to be told whole, up to maxKept.
func isLongError(text []byte) bool {
	return len(text) < maxKept && bytes.HasPrefix(text, []byte("data:")) && bytes.Contains(text, []byte(`"error"`))
}

// named is lines of a stream, of which an error event says whose it is, and what to do.
// One that is the request's own fault is left as it is.
func (p *reply) named(lines []byte, by *ops.Worker) []byte {
	fails := bytes.Contains(lines, []byte(`"error"`)) || p.responses && bytes.Contains(lines, []byte(failedResponse))
	if !fails {
		return lines
	}
	var out []byte
	for line := range bytes.Lines(lines) {
		if data, event := bytes.CutPrefix(line, []byte("data:")); event {
			line = p.namedEvent(line, data, by)
		}
		out = append(out, line...)
	}
	return out
}

// namedEvent is such a line that has the data of an event.
func (p *reply) namedEvent(line, data []byte, by *ops.Worker) []byte {
	if transport.IsEngineError(data) {
		e := transport.EngineError(0, data)
		if schedule.FaultOf(e) == schedule.OfRequest && transport.InOpenAIsForm(data) {
			return line
		}
		p.failed = schedule.ByWorker(e, by)
		return bytes.TrimSuffix(p.lastEvent(p.failed), []byte("\n")) // which comes as it did
	}
	e := responseError(data)
	if e == nil || !p.responses || schedule.FaultOf(e) == schedule.OfRequest {
		return line
	}
	named := schedule.ByWorker(e, by)
	p.failed = named
	return append(append([]byte("data: "), withMessage(data, named, "response", "error")...), '\n')
}

// failedResponse is the last event of a stream of the responses API that has failed.
const failedResponse = "response.failed"

// responseError is the error that such an event tells of, or nil.
func responseError(data []byte) *ops.Error {
	var failed struct {
		Type     string
		Response struct{ Error json.RawMessage }
	}
	if json.Unmarshal(data, &failed) != nil || failed.Type != failedResponse {
		return nil
	}
	if text := failed.Response.Error; !isNothing(text) {
		return transport.EngineError(0, marshal(map[string]any{"error": text}))
	}
	return transport.EngineError(0, nil)
}

// withMessage is an object of an engine's in which, along a path of members, an error has
// the message and the hint of e; the rest is as it was.
func withMessage(text []byte, e *ops.Error, path ...string) []byte {
	members := map[string]json.RawMessage{}
	if json.Unmarshal(text, &members) != nil || members == nil {
		members = map[string]json.RawMessage{}
	}
	if len(path) > 0 {
		members[path[0]] = withMessage(members[path[0]], e, path[1:]...)
	} else {
		_, f := failureOf(e)
		members["message"] = marshal(f.Error.Message)
		if f.Error.Hint != "" {
			members["hint"] = marshal(f.Error.Hint)
		}
	}
	return marshal(members)
}
