package gateway

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
)

// failure is OpenAI's form of an error (its API reference, "Error codes").
type failure struct {
	Error failureBody `json:"error"`
}

type failureBody struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    string  `json:"code"`
	Hint    string  `json:"hint,omitempty"` // the end of Message, for whoever shows it apart

	status int // of the answer that it is, or 0
}

// statusFor is the status of an error of that code. Who reads one that somebody
// has cancelled has not done so himself, which 499 would say.
func statusFor(code ops.Code) int {
	if code == ops.CodeCancelled {
		return http.StatusServiceUnavailable
	}
	return code.HTTPStatus()
}

// failureOf tells err in OpenAI's words.
func failureOf(err error) (status int, f failure) {
	e := ops.AsError(err)
	f.Error = failureBody{Message: e.Message, Type: "server_error", Code: string(e.Code)}
	if e.Code == ops.CodeInvalid && !strings.HasPrefix(e.Message, e.Field) { // not all clients show what is apart
		f.Error.Message = e.Error()
	}
	if e.Hint != "" { // all that clients show is the message
		f.Error.Message += " (" + e.Hint + ")"
		f.Error.Hint = e.Hint
	}
	if e.Field != "" {
		f.Error.Param = &e.Field
	}
	switch e.Code {
	case ops.CodeInvalid, ops.CodeDenied, ops.CodeUnsupported:
		f.Error.Type = "invalid_request_error"
	case ops.CodeBusy:
		f.Error.Type, f.Error.Code = "requests", "rate_limit_exceeded"
	case ops.CodeNotFound:
		f.Error.Type = "invalid_request_error"
		if e.Field == "model" {
			f.Error.Code = "model_not_found" // what OpenAI calls it, and clients look for
		}
	}
	if _, tokens := errors.AsType[LaterError](err); tokens && e.Code == ops.CodeBusy {
		f.Error.Type = "tokens" // which of its rates a key has used up, in OpenAI's words
	}
	f.Error.status = statusFor(e.Code)
	if _, large := errors.AsType[tooLargeError](err); large {
		f.Error.status = http.StatusRequestEntityTooLarge
	}
	if _, none := errors.AsType[senselessError](err); none {
		f.Error.status = http.StatusBadGateway
	}
	return f.Error.status, f
}

// fail answers with err while nothing was sent.
func fail(w http.ResponseWriter, err error) {
	status, f := failureOf(err)
	retryAfter(w.Header(), err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(f) // the client may be gone
}

// retryAfter says when it is worth another try, where that is known.
func retryAfter(h http.Header, err error) {
	if full, ok := errors.AsType[*schedule.FullError](err); ok {
		h.Set("Retry-After", strconv.Itoa(int(full.RetryAfter.Seconds())))
	}
	if later, ok := errors.AsType[LaterError](err); ok {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(later.After.Seconds()))))
	}
}

// failureEvent is err as the last event of a stream.
func failureEvent(err error) []byte {
	_, f := failureOf(err)
	text, encodeErr := json.Marshal(f)
	if encodeErr != nil {
		text = []byte(`{"error":{"message":"internal error","type":"server_error","code":"internal"}}`)
	}
	return append(append([]byte("data: "), text...), "\n\n"...)
}

// responsesFailure is err as the last event of a stream of the responses API.
func responsesFailure(err error) []byte {
	_, f := failureOf(err)
	return event("error", map[string]any{"code": f.Error.Code, "message": f.Error.Message, "param": f.Error.Param, "sequence_number": 0})
}
