package transport

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"rbee.dev/rbee/ops"
)

// statusOverloaded is what Anthropic's API, and some engines, answer for that.
const statusOverloaded = 529

// EngineError is what an engine says instead of an answer: in the body of one that
// has the status, or in an event of a stream, where status is 0. All forms are
// read that engines have: OpenAI's (its API reference, "Error codes"), the text
// alone that Ollama puts there, vLLM's of old without anything around it, FastAPI's
// detail, and else the body's beginning is what it says.
//
// The code says whose fault it is. The request's own, invalid, are the statuses
// 400, 413, 415 and 422. What says that there is too much to do is busy, and
// unsupported what the engine has not got. Everything else is internal, a fault of
// the engine's: also that it does not know the path or the model (404), which it
// was started for, or wants a key (401, 403, 407), as it is rbee who asks. Engines
// and workers of rbee's own say the code themselves.
func EngineError(status int, body []byte) *ops.Error {
	said := readEngineError(body)
	text := said.Message
	switch {
	case text != "":
	case status == 0:
		text = "the engine has failed, and does not say why"
	default:
		text = strings.TrimSpace(fmt.Sprintf("the engine answers %d %s", status, http.StatusText(status)))
	}
	e := ops.Errorf(said.code(status), "%s", text)
	e.Hint = said.Hint
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		e.Hint = "its engine wants a key of its own: spawn it so that it wants none"
	}
	if rest, ok := strings.CutPrefix(text, said.Param+": "); ok && said.Param != "" {
		e.Message, e.Field = rest, said.Param
	} else if e.Code == ops.CodeInvalid && !strings.HasPrefix(text, said.Param) {
		e.Field = said.Param
	}
	return apart(e)
}

// engineError is what engines say, in OpenAI's names.
type engineError struct {
	Message string          `json:"message"`
	Param   string          `json:"param"`
	Type    string          `json:"type"`
	Hint    string          `json:"hint"` // of rbee's own
	Code    json.RawMessage `json:"code"` // a word, a status, or nothing
}

// IsEngineError reports whether an answer that has the status of one, or an event, is
// an error: in OpenAI's form, that of its responses API, or that of vLLM of old. A
// response that has failed is none: it is what that API answers.
func IsEngineError(text []byte) bool {
	if !bytes.Contains(text, []byte(`"error"`)) {
		return false
	}
	var e struct {
		Type, Object string
		Error        json.RawMessage
	}
	if json.Unmarshal(text, &e) != nil || e.Object == "response" {
		return false
	}
	return e.Type == "error" || e.Object == "error" || len(e.Error) > 0 && string(e.Error) != "null"
}

// IsStream reports whether an answer with that header is an event stream.
func IsStream(h http.Header) bool {
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "text/event-stream")
}

// NoStream is the error of an engine that was asked for a stream and gives an answer
// with that header, which is none: another may do better.
func NoStream(h http.Header) *ops.Error {
	kind := cmp.Or(h.Get("Content-Type"), "something")
	return ops.Errorf(ops.CodeInternal, "the engine answers with %s, and was asked for a stream", kind)
}

// InOpenAIsForm reports whether a body is an error as OpenAI's API has it, which the
// queen's is.
func InOpenAIsForm(body []byte) bool {
	var e struct {
		Error struct{ Message string }
	}
	return json.Unmarshal(body, &e) == nil && e.Error.Message != ""
}

// readEngineError reads it in whichever form it is.
func readEngineError(body []byte) engineError {
	var outer struct {
		engineError
		Error  json.RawMessage `json:"error"`
		Detail json.RawMessage `json:"detail"`
	}
	_ = json.Unmarshal(body, &outer) // what is not there stays empty
	var inner engineError
	var text string
	_, _ = json.Unmarshal(outer.Error, &inner), json.Unmarshal(outer.Error, &text)
	switch {
	case inner.Message != "":
		return inner
	case text != "":
		return engineError{Message: text, Code: outer.Code}
	case outer.Message != "":
		return outer.engineError
	}
	if text = detail(outer.Detail); text == "" {
		text = beginning(body)
	}
	return engineError{Message: text, Type: inner.Type, Code: inner.Code}
}

// detail is what FastAPI says of a request that it does not take: a text, or a list
// of what is wrong and where (its docs, "Handling errors").
func detail(text json.RawMessage) string {
	var plain string
	if json.Unmarshal(text, &plain) == nil {
		return plain
	}
	var list []struct {
		Where []any  `json:"loc"`
		What  string `json:"msg"`
	}
	if json.Unmarshal(text, &list) != nil {
		return ""
	}
	var all []string
	for _, d := range list {
		var where []string
		for _, name := range d.Where {
			where = append(where, fmt.Sprint(name))
		}
		all = append(all, strings.TrimPrefix(strings.Join(where, ".")+": "+d.What, ": "))
	}
	return strings.Join(all, "; ")
}

// code is whose fault it is, see [EngineError].
func (e engineError) code(status int) ops.Code {
	var word string
	_ = json.Unmarshal(e.Code, &word)
	known := ops.Code(word).HTTPStatus() != http.StatusInternalServerError
	if status == 0 {
		_ = json.Unmarshal(e.Code, &status) // some engines have it there
	}
	switch {
	case known && status != http.StatusNotFound:
		return ops.Code(word)
	case status != 0:
		return engineCode(status)
	case word == "model_not_found": // as the queen herself says it
		return ops.CodeNotFound
	case word == "rate_limit_exceeded":
		return ops.CodeBusy
	case word == "invalid_api_key":
		return ops.CodeDenied
	case e.Type == "invalid_request_error":
		return ops.CodeInvalid
	}
	return ops.CodeInternal
}

// engineCode is the code of an engine's status.
func engineCode(status int) ops.Code {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return ops.CodeInvalid
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, statusOverloaded:
		return ops.CodeBusy
	case http.StatusNotImplemented:
		return ops.CodeUnsupported
	}
	return ops.CodeInternal
}

// mostSaid bounds what is told of a body that nobody knows, in bytes.
const mostSaid = 300

// markup is the tags of a page, as a proxy before an engine answers with.
var markup = regexp.MustCompile(`<[^>]*>`)

// beginning is that of a body, on one line; of a page it is the words.
func beginning(body []byte) string {
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		body = markup.ReplaceAll(body, []byte(" "))
	}
	text := strings.Join(strings.Fields(string(body)), " ")
	return strings.ToValidUTF8(text[:min(len(text), mostSaid)], "")
}
