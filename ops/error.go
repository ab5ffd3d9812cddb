package ops

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Code says what kind of failure an [Error] is. There are few, and one table
// maps them to HTTP statuses and exit codes.
type Code string

// The codes.
const (
	CodeInvalid     Code = "invalid"     // the request is wrong; Field names the part
	CodeNotFound    Code = "not_found"   // no such job, worker, model or hive
	CodeConflict    Code = "conflict"    // what exists stands in the way
	CodeUnavailable Code = "unavailable" // something needed is down, went away, or gives what cannot be right
	CodeBusy        Code = "busy"        // too much is asked for at once; later it may go
	CodeDenied      Code = "denied"      // no or wrong credentials
	CodeCancelled   Code = "cancelled"   // somebody asked for the end
	CodeTimeout     Code = "timeout"     // something did not answer in its time
	CodeUnsupported Code = "unsupported" // this build or engine cannot do it
	CodeInternal    Code = "internal"    // a fault of ours, or one nobody classified
)

// codes is the one table of failures: HTTP status (RFC 9110; 499 is nginx's
// "client closed request") and the keeper's exit code.
var codes = map[Code]struct{ status, exit int }{
	CodeInvalid:     {http.StatusBadRequest, 2},
	CodeNotFound:    {http.StatusNotFound, 1},
	CodeConflict:    {http.StatusConflict, 1},
	CodeUnavailable: {http.StatusServiceUnavailable, 1},
	CodeBusy:        {http.StatusTooManyRequests, 1},
	CodeDenied:      {http.StatusForbidden, 1},
	CodeCancelled:   {499, 130},
	CodeTimeout:     {http.StatusGatewayTimeout, 1},
	CodeUnsupported: {http.StatusNotImplemented, 1},
	CodeInternal:    {http.StatusInternalServerError, 1},
}

// HTTPStatus is the status that a response carrying the code has. A code that
// is not in the table is treated as internal.
func (c Code) HTTPStatus() int {
	if row, ok := codes[c]; ok {
		return row.status
	}
	return http.StatusInternalServerError
}

// ExitCode is what a keeper command exits with: 2 for invalid (usage), 130 for
// cancelled, 1 for every other failure.
func (c Code) ExitCode() int {
	if row, ok := codes[c]; ok {
		return row.exit
	}
	return 1
}

// Error is a failure as it travels: in an HTTP body, in an error event, to the
// person. The zero value is an internal error without text.
type Error struct {
	// Code is the kind of failure.
	Code Code `json:"code"`
	// Message says what is wrong and where, for a person, without a full stop.
	Message string `json:"message"`
	// Field names the part of the request that is wrong, or "".
	Field string `json:"field,omitempty"`
	// Hint says what to do next, or "".
	Hint string `json:"hint,omitempty"`
	// Lacks is what there is too little of, for a program that may know where there is
	// more: [LacksMemory], or "".
	Lacks string `json:"lacks,omitempty"`

	cause error
}

// LacksMemory is the Lacks of a model that the memory of a hive does not hold.
const LacksMemory = "memory"

// Error returns the message, after the field where one is named.
func (e *Error) Error() string {
	if e.Field != "" {
		return e.Field + ": " + e.Message
	}
	return e.Message
}

// Unwrap returns the wrapped cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// WithHint returns a copy of e that carries hint.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// WithLack returns a copy of e that says what there is too little of.
func (e *Error) WithLack(of string) *Error {
	c := *e
	c.Lacks = of
	return &c
}

// Errorf makes an error of the given code. As with [fmt.Errorf], %w keeps the
// cause, or several, for errors.Is and errors.As.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	cause := errors.Unwrap(err)
	if _, several := err.(interface{ Unwrap() []error }); several {
		cause = err
	}
	return &Error{Code: code, Message: err.Error(), cause: cause}
}

// Invalid makes an invalid error about one field.
func Invalid(field, format string, args ...any) *Error {
	e := Errorf(CodeInvalid, format, args...)
	e.Field = field
	return e
}

// AsError gives any error its place on the wire: an *Error in the chain is
// passed on with the chain's whole message, a cancelled or expired context gets
// its code, everything else is internal. AsError(nil) is nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		if e == err { //nolint:errorlint // it is the error itself, not in a chain
			return e
		}
		c := *e
		c.Message, c.cause = err.Error(), err
		c.Field = ""
		return &c
	}
	code := CodeInternal
	switch {
	case errors.Is(err, context.Canceled):
		code = CodeCancelled
	case errors.Is(err, context.DeadlineExceeded):
		code = CodeTimeout
	}
	return &Error{Code: code, Message: err.Error(), cause: err}
}

// CodeOf is the code that err has on the wire, or "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return AsError(err).Code
}
