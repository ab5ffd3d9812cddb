package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"

	"rbee.dev/rbee/ops"
)

// tooLargeError says that a body is larger than maxBody.
type tooLargeError struct{ error }

// Unwrap is what is told of it.
func (e tooLargeError) Unwrap() error { return e.error }

// readBody reads a request's body, of at most maxBody.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limited := http.MaxBytesReader(w, r.Body, maxBody)
	var body bytes.Buffer
	if r.ContentLength > 0 && r.ContentLength <= maxBody {
		body.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	_, err := body.ReadFrom(limited)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, tooLargeError{ops.Invalid("", "the body is larger than %d MiB, which is the most", maxBody>>20)}
	}
	if err != nil {
		return nil, ops.Invalid("", "the body cannot be read: its connection broke off")
	}
	return body.Bytes(), nil
}

// decode reads the JSON of a request. Its errors name the member that is wrong
// and what it must be: no client knows the types that it is read into.
func decode(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	if err == nil {
		return nil
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrong.Field == "" && reflect.TypeOf(into).Elem() == wrong.Type {
			return ops.Invalid("", "%w", errNotObject)
		}
		return ops.Invalid(member(wrong.Field), "must be %s, got %s", wanted(wrong.Type), given(wrong.Value))
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return ops.Invalid("", "the body is not JSON (byte %d)", syntax.Offset)
	}
	return ops.Invalid("", "the body is not what this route takes")
}

// member is the path of a member without names of Go's embedded types.
func member(path string) string { return strings.Trim(path, ".") }

// wanted is what JSON a type is read from, in words.
func wanted(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[[]anthropicBlock](), reflect.TypeFor[anthropicContent]():
		return "a text or a list of blocks"
	}
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	default:
		return "an object"
	}
}

// given is what JSON was there, from encoding/json's word for it.
func given(value string) string {
	kind, number, _ := strings.Cut(value, " ")
	switch {
	case number != "":
		return number
	case kind == "string":
		return "a text"
	case kind == "bool":
		return "true or false"
	case kind == "array":
		return "a list"
	case kind == "object":
		return "an object"
	}
	return "a " + kind
}
