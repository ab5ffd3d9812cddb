package ops_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestEachCodeHasItsStatusAndExitCode(t *testing.T) {
	for _, tt := range []struct {
		code         ops.Code
		status, exit int
	}{
		{ops.CodeInvalid, http.StatusBadRequest, 2},
		{ops.CodeNotFound, http.StatusNotFound, 1},
		{ops.CodeConflict, http.StatusConflict, 1},
		{ops.CodeUnavailable, http.StatusServiceUnavailable, 1},
		{ops.CodeBusy, http.StatusTooManyRequests, 1},
		{ops.CodeDenied, http.StatusForbidden, 1},
		{ops.CodeCancelled, 499, 130},
		{ops.CodeTimeout, http.StatusGatewayTimeout, 1},
		{ops.CodeUnsupported, http.StatusNotImplemented, 1},
		{ops.CodeInternal, http.StatusInternalServerError, 1},
		{"a code of the future", http.StatusInternalServerError, 1},
		{"", http.StatusInternalServerError, 1},
	} {
		if got := tt.code.HTTPStatus(); got != tt.status {
			t.Errorf("%q has HTTP status %d, want %d", tt.code, got, tt.status)
		}
		if got := tt.code.ExitCode(); got != tt.exit {
			t.Errorf("%q has exit code %d, want %d", tt.code, got, tt.exit)
		}
	}
}

func TestAsErrorGivesAnyErrorItsPlace(t *testing.T) {
	known := ops.Invalid("prompt", "must not be empty").WithHint("say something")
	for name, tt := range map[string]struct {
		err  error
		want ops.Error
	}{
		"one of ours":              {known, ops.Error{Code: "invalid", Message: "must not be empty", Field: "prompt", Hint: "say something"}},
		"one of ours, wrapped":     {fmt.Errorf("start the worker: %w", known), ops.Error{Code: "invalid", Message: "start the worker: prompt: must not be empty", Hint: "say something"}},
		"one of ours among others": {errors.Join(io.EOF, known), ops.Error{Code: "invalid", Message: "EOF\nprompt: must not be empty", Hint: "say something"}},
		"a cancelled context":      {context.Canceled, ops.Error{Code: "cancelled", Message: "context canceled"}},
		"a wrapped one":            {fmt.Errorf("ask: %w", context.Canceled), ops.Error{Code: "cancelled", Message: "ask: context canceled"}},
		"an expired context":       {fmt.Errorf("ask: %w", context.DeadlineExceeded), ops.Error{Code: "timeout", Message: "ask: context deadline exceeded"}},
		"anything else":            {io.ErrUnexpectedEOF, ops.Error{Code: "internal", Message: "unexpected EOF"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := ops.AsError(tt.err)
			if got.Code != tt.want.Code || got.Message != tt.want.Message || got.Field != tt.want.Field || got.Hint != tt.want.Hint {
				t.Errorf("AsError(%v) = %#v, want %#v", tt.err, got, tt.want)
			}
			if !errors.Is(got, tt.err) {
				t.Error("the error itself is not in the chain any more")
			}
			if ops.CodeOf(tt.err) != tt.want.Code {
				t.Errorf("CodeOf() = %q, want %q", ops.CodeOf(tt.err), tt.want.Code)
			}
		})
	}
	if e := ops.AsError(nil); e != nil {
		t.Errorf("AsError(nil) = %v", e)
	}
	if c := ops.CodeOf(nil); c != "" {
		t.Errorf("CodeOf(nil) = %q", c)
	}
}

func TestErrorfKeepsItsCauses(t *testing.T) {
	for name, err := range map[string]*ops.Error{
		"one":  ops.Errorf(ops.CodeInternal, "read the model: %w", io.EOF),
		"two":  ops.Errorf(ops.CodeInternal, "%w and %w", fs.ErrNotExist, io.EOF),
		"hint": ops.Errorf(ops.CodeInternal, "read the model: %w", io.EOF).WithHint("fetch it again"),
	} {
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: the cause is lost", name)
		}
	}
	if !errors.Is(ops.Errorf(ops.CodeInternal, "%w and %w", fs.ErrNotExist, io.EOF), fs.ErrNotExist) {
		t.Error("the first of two causes is lost")
	}
}

func TestAnErrorsTextNamesItsField(t *testing.T) {
	e := ops.Invalid("top_p", "must be above %d", 0)
	if e.Error() != "top_p: must be above 0" {
		t.Errorf("Error() = %q", e.Error())
	}
	if text := ops.Errorf(ops.CodeInternal, "it broke").Error(); text != "it broke" {
		t.Errorf("Error() = %q", text)
	}
}

func TestWithHintLeavesTheErrorItIsCalledOn(t *testing.T) {
	e := ops.Errorf(ops.CodeNotFound, "there is no job")
	if hinted := e.WithHint("see %s", "rbee job list"); hinted.Hint != "see rbee job list" || hinted.Message != e.Message {
		t.Errorf("WithHint() = %#v", hinted)
	}
	if e.Hint != "" {
		t.Errorf("the error itself has the hint %q now", e.Hint)
	}
}

func TestAnErrorTravelsAsJSON(t *testing.T) {
	text, err := json.Marshal(ops.Invalid("port", "must be between 0 and 65535, got %d", 70000))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"code":"invalid","message":"must be between 0 and 65535, got 70000","field":"port"}`; string(text) != want {
		t.Errorf("the JSON is %s, want %s", text, want)
	}
}
