package transport

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"rbee.dev/rbee/ops"
)

// unanswered is the error of a request that was made in a context of its own,
// bounded, below ctx. When ctx has ended, its cause is the error.
func (c *Client) unanswered(ctx, bounded context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if cause := context.Cause(bounded); cause != nil {
		err = cause
	}
	return c.unreachable(err)
}

// unreachable says that the daemon cannot be reached, and why.
func (c *Client) unreachable(err error) *ops.Error {
	if e, ok := errors.AsType[*ops.Error](err); ok {
		return e // from the dialler, which knows better
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err // without the URL, which tells a person nothing
	}
	if errors.Is(err, http.ErrSchemeMismatch) { // which trying again does not change
		return ops.Errorf(ops.CodeInvalid, "%s does not encrypt, and its address says https", c.Name).
			WithHint("http:// in place of https:// is how it is reached, if nobody else is on the way")
	}
	return ops.Errorf(ops.CodeUnavailable, "%s %w", c.Name, silence{err}).WithHint("%s", c.Hint)
}

// silence is ErrUnreachable with the reason why.
type silence struct{ reason error }

// Error is both texts on one line.
func (s silence) Error() string {
	if errors.Is(s.reason, io.EOF) || errors.Is(s.reason, io.ErrUnexpectedEOF) {
		return ErrUnreachable.Error() + ": it closed the connection before its answer was whole"
	}
	return ErrUnreachable.Error() + ": " + s.reason.Error()
}

// Unwrap returns both errors.
func (s silence) Unwrap() []error { return []error{ErrUnreachable, s.reason} }

// Absent is err of a daemon that does not run and cannot be started: it has
// ErrUnreachable in its chain, but not in its words.
func Absent(err error) error { return absent{err} }

type absent struct{ error }

// Unwrap returns both errors.
func (a absent) Unwrap() []error { return []error{ErrUnreachable, a.error} }

// failure reads the error that the daemon answered with. The gateway errors of
// a proxy on the way mean that the daemon did not answer.
func (c *Client) failure(answer *http.Response) *ops.Error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	var e ops.Error
	if err == nil && json.Unmarshal(text, &e) == nil && e.Code != "" {
		if u, err := url.Parse(c.BaseURL); err == nil && u.Path != "" && e.Code == ops.CodeNotFound && e.Hint == "" {
			return e.WithHint("its address ends in %s, which is wanted only where a proxy on the way takes it off", u.Path)
		}
		return &e
	}
	if err == nil && answer.Header.Get("X-Rbee-Worker") != "" { // the queen is right, and passes an engine's words on
		return ofWorker(answer, EngineError(answer.StatusCode, text))
	}
	if err == nil && InOpenAIsForm(text) {
		return EngineError(0, text) // the queen's own says its code
	}
	if bytes.Contains(text, []byte("HTTP request to an HTTPS server")) { // as net/http says it
		return ops.Errorf(ops.CodeInvalid, "%s encrypts, and its address does not say https", c.Name).
			WithHint("https:// in place of http:// is how it is reached")
	}
	switch answer.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return c.unreachable(fmt.Errorf("a proxy on the way says %s", answer.Status))
	}
	return c.foreign(answer, fmt.Errorf("it answers %s", answer.Status))
}

// ofWorker is what the engine of a worker says, with the worker's name unless the
// request is what is wrong.
func ofWorker(answer *http.Response, e *ops.Error) *ops.Error {
	worker, hive := answer.Header.Get("X-Rbee-Worker"), answer.Header.Get("X-Rbee-Hive")
	if e.Code == ops.CodeInvalid || strings.HasPrefix(e.Message, "worker "+worker) {
		return e
	}
	named := *e
	named.Message = fmt.Sprintf("worker %s of %s: %s", worker, hive, e.Message)
	named.Hint = cmp.Or(e.Hint, fmt.Sprintf("`rbee worker get %s%s` tells of it", worker, ops.HiveFlag(hive)))
	return &named
}

// apart takes the hint off the message, at whose end the gateway puts it for
// clients that show nothing else.
func apart(e *ops.Error) *ops.Error {
	e.Message = strings.TrimSuffix(e.Message, " ("+e.Hint+")")
	return e
}

// foreign is the error of an answer that no daemon of ours gives.
func (c *Client) foreign(answer *http.Response, err error) *ops.Error {
	return ops.Errorf(ops.CodeInternal, "%s does not speak rbee's protocol: %w", c.Name, err).
		WithHint("is something else listening at %s?", answer.Request.URL.Host)
}
