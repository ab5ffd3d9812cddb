package gateway

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
	"rbee.dev/rbee/transport/ssh"
)

// ResumeHeader is set to true by clients whose streams may be continued by
// another worker where one breaks off.
const ResumeHeader = "X-Rbee-Resume"

// resumption continues a stream that broke off. Another worker is asked the same,
// which has the same answer, and what the client has already is left out of it.
// Where the other worker says something else, that is an error: a client is
// never given a text that no worker has said.
type resumption struct {
	said     map[part]string // what the client was given
	again    map[part]int    // how many bytes of that the worker that goes on has said
	finished map[int]bool    // choices whose end the client was given
	head     map[string]json.RawMessage
	going    bool  // it goes on with another worker
	over     bool  // the stream's end was given
	refused  error // which was this one of an engine's
}

// part is a text that comes in pieces.
type part struct {
	choice int
	name   string // as content, or that of a tool call's member
	call   int    // of a tool call
}

// checkResume refuses a header that is neither true nor false.
func checkResume(r *http.Request) error {
	switch v := r.Header.Get(ResumeHeader); strings.ToLower(v) {
	case "", "true", "false":
		return nil
	default:
		return ops.Invalid(ResumeHeader, "must be true or false, got %q", v)
	}
}

// newResumption returns nil for a request whose answer cannot be continued: the
// client has not asked for it, it is no stream of chat or text completions, or
// its answer would be another each time.
func newResumption(r *http.Request, a asked) *resumption {
	path := r.URL.Path == "/v1/chat/completions" || r.URL.Path == "/v1/completions"
	if !path || !a.stream || !a.repeatable() || !strings.EqualFold(r.Header.Get(ResumeHeader), "true") {
		return nil
	}
	return &resumption{said: map[part]string{}, finished: map[int]bool{}}
}

// brokenOff is the error of a stream that another worker may continue.
type brokenOff struct{ error }

// Unwrap returns what happened.
func (b brokenOff) Unwrap() error { return b.error }

// elsewhere tells a person who goes on.
func (b brokenOff) elsewhere(k key) string {
	return fmt.Sprintf("queen: %s; worker %s of %s goes on with it", ops.AsError(b.error).Message, k.Worker, k.Hive)
}

// goOn says that what comes now is from another worker.
func (s *resumption) goOn() {
	s.going, s.again = true, map[part]int{}
}

// errOther says that the other worker's answer is not the same.
var errOther = ops.Errorf(ops.CodeUnavailable, "the worker's answer broke off, and another worker answers otherwise").
	WithHint("ask again; answers are the same only on the same engine and kind of device")

// continued passes a stream on, event by event, so that none is torn. An error of
// the kind brokenOff says that it can go on elsewhere.
func (p *reply) continued(body io.Reader, by *ops.Worker) error {
	lines := bufio.NewReader(body)
	var frame []byte
	for {
		line, err := lines.ReadBytes('\n')
		frame = append(frame, line...)
		if err == nil && len(bytes.TrimSpace(line)) > 0 {
			continue
		}
		if err == nil || errors.Is(err, io.EOF) && len(frame) > 0 {
			if failed := p.passFrame(frame, by); failed != nil {
				return failed
			}
			frame = frame[:0]
		}
		if err != nil {
			return p.ended(err, by)
		}
	}
}

// passFrame passes on what the client has not got of an event.
func (p *reply) passFrame(frame []byte, by *ops.Worker) error {
	out, err := p.resume.frame(append(bytes.TrimSpace(frame), "\n\n"...), by)
	if err != nil {
		return err
	}
	if len(out) > 0 && p.write(out, true) != nil {
		return errGone
	}
	return nil
}

// ended is the end of a stream that may go on elsewhere, unless it was whole.
func (p *reply) ended(err error, by *ops.Worker) error {
	s := p.resume
	switch {
	case s.over:
		return nil
	case !errors.Is(err, io.EOF) && !p.left():
	case len(s.finished) > 0 && !s.behind(allChoices): // by an engine that sends no [DONE]
		_ = p.write([]byte(done), true) // the client may be gone
		return nil
	}
	return brokenOff{broke(by, err)}
}

// broke is the error of a worker's stream that broke off.
func broke(by *ops.Worker, err error) error {
	if errors.Is(err, ssh.ErrLost) {
		return unreached(by)
	}
	what := "it broke its answer off in the middle"
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		what = fmt.Sprintf("it broke its answer off: %v", err)
	}
	return schedule.ByWorker(ops.Errorf(ops.CodeUnavailable, "%s", what), by).
		WithHint(askAgain)
}

// unreached is the error of a worker that the connection to its hive was lost to.
func unreached(by *ops.Worker) error {
	return schedule.ByWorker(ops.Errorf(ops.CodeUnavailable, "the connection to its machine was lost"), by).
		WithHint("ask again; `rbee hive list` shows whether the machine is there")
}

// askAgain is what to do where a worker did not answer.
const askAgain = "ask again; `rbee worker list` shows what is left"

// frame takes an event and returns what of it the client has not got.
func (s *resumption) frame(frame []byte, by *ops.Worker) ([]byte, error) {
	data, ok := bytes.CutPrefix(bytes.TrimSpace(frame), []byte("data:"))
	data = bytes.TrimSpace(data)
	if !ok || s.over {
		return nil, nil // a comment, of the engine's own life
	}
	if string(data) == "[DONE]" {
		if s.behind(allChoices) {
			return nil, errOther
		}
		s.over = true
		return frame, nil
	}
	var chunk map[string]json.RawMessage
	if err := json.Unmarshal(data, &chunk); err != nil {
		return nil, brokenOff{broke(by, err)}
	}
	if failed, ok := chunk["error"]; ok && string(failed) != "null" {
		return s.failed(frame, data, by)
	}
	if s.head == nil {
		s.head = map[string]json.RawMessage{"id": chunk["id"], "created": chunk["created"]}
	}
	some, err := s.choices(chunk)
	if err != nil {
		return nil, err
	}
	if !s.going {
		return frame, nil
	}
	if !some && string(chunk["usage"]) == "" {
		return nil, nil
	}
	for name, value := range s.head {
		if value != nil {
			chunk[name] = value
		}
	}
	return append(append([]byte("data: "), marshal(chunk)...), "\n\n"...), nil
}

// failed takes an error event. What is wrong with the request would be wrong
// elsewhere, too.
func (s *resumption) failed(frame, data []byte, by *ops.Worker) ([]byte, error) {
	e := transport.EngineError(0, data)
	if schedule.FaultOf(e) != schedule.OfRequest {
		return nil, brokenOff{schedule.ByWorker(e, by)}
	}
	s.over, s.refused = true, ops.Errorf(ops.CodeInternal, "%w: %s", errEnded, e.Message)
	return frame, nil
}

// allChoices stands for every choice's number.
const allChoices = -1

// behind reports whether the worker that goes on has not come to where the other
// one stopped with a choice.
func (s *resumption) behind(choice int) bool {
	if !s.going {
		return false
	}
	for p, text := range s.said {
		if (choice == allChoices || choice == p.choice) && s.again[p] < len(text) {
			return true
		}
	}
	return false
}

// choices takes the choices of a chunk, cuts what the client has off them, and
// reports whether anything is left.
func (s *resumption) choices(chunk map[string]json.RawMessage) (some bool, err error) {
	var list []map[string]json.RawMessage
	if text := chunk["choices"]; text == nil || json.Unmarshal(text, &list) != nil {
		return true, nil
	}
	for _, choice := range list {
		index := 0
		_ = json.Unmarshal(choice["index"], &index) // without one it is the first
		left, err := s.choice(index, choice)
		if err != nil {
			return false, err
		}
		if finish := choice["finish_reason"]; finish != nil && string(finish) != "null" {
			if s.behind(index) {
				return false, errOther
			}
			if s.finished[index] {
				choice["finish_reason"] = json.RawMessage("null")
			} else {
				s.finished[index], left = true, true
			}
		}
		some = some || left
	}
	chunk["choices"] = marshal(list)
	return some, nil
}

// choice takes one choice: its text, or the members of its delta.
func (s *resumption) choice(index int, choice map[string]json.RawMessage) (left bool, err error) {
	if text, ok := choice["text"]; ok {
		choice["text"], left, err = s.piece(part{choice: index, name: "text"}, text)
		return left, err
	}
	var delta map[string]json.RawMessage
	if choice["delta"] == nil || json.Unmarshal(choice["delta"], &delta) != nil {
		return false, nil
	}
	for name, value := range delta {
		some := false
		switch {
		case name == "tool_calls":
			value, some, err = s.calls(index, value)
		case name == "role":
			if some = !s.going; !some {
				delete(delta, name)
				continue
			}
		case len(value) > 0 && value[0] == '"':
			value, some, err = s.piece(part{choice: index, name: name}, value)
		}
		if err != nil {
			return false, err
		}
		delta[name], left = value, left || some
	}
	choice["delta"] = marshal(delta)
	return left, nil
}

// calls takes pieces of tool calls. What names a call comes once.
func (s *resumption) calls(index int, text json.RawMessage) (json.RawMessage, bool, error) {
	var list []map[string]json.RawMessage
	if json.Unmarshal(text, &list) != nil {
		return text, false, nil
	}
	kept := list[:0]
	for _, call := range list {
		number := 0
		_ = json.Unmarshal(call["index"], &number) // without one it is the first
		begun := part{index, "call", number}
		known := s.said[begun] != ""
		s.said[begun] = "begun"
		if s.going {
			s.again[begun] = len("begun")
		}
		var function map[string]json.RawMessage
		if json.Unmarshal(call["function"], &function) != nil {
			function = map[string]json.RawMessage{}
		}
		some := false
		for _, name := range []string{"name", "arguments"} {
			if function[name] == nil {
				continue
			}
			piece, left, err := s.piece(part{index, name, number}, function[name])
			if err != nil {
				return nil, false, err
			}
			function[name], some = piece, some || left
		}
		if s.going && known {
			delete(call, "id")
			delete(call, "type")
		}
		if call["function"] = marshal(function); some || !known {
			kept = append(kept, call)
		}
	}
	return marshal(kept), len(kept) > 0, nil
}

// piece takes the next piece of a part and returns what of it is new.
func (s *resumption) piece(p part, text json.RawMessage) (json.RawMessage, bool, error) {
	var piece string
	if json.Unmarshal(text, &piece) != nil {
		return text, false, nil
	}
	if s.going {
		known := s.said[p][s.again[p]:]
		same := min(len(known), len(piece))
		if known[:same] != piece[:same] {
			return nil, false, errOther
		}
		s.again[p] += len(piece)
		piece = piece[same:]
	}
	s.said[p] += piece
	return marshal(piece), piece != "", nil
}
