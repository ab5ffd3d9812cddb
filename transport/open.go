package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Open posts in as JSON to a route of the daemon's own and returns the answer's
// body as it comes, whatever it is. The caller closes it; the end of ctx breaks
// it off. An answer of an error's status is an error, in which OpenAI's form is
// understood too. The header is the answer's in either case, where there is one.
func (c *Client) Open(ctx context.Context, path string, in any) (io.ReadCloser, http.Header, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, nil, fmt.Errorf("encode the request to %s: %w", c.Name, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	opened := &openBody{ear: c.listen(ctx, cancel), cancel: cancel, why: func() error { return context.Cause(ctx) }}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.BaseURL+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("make the request to %s: %w", c.Name, err), opened.Close())
	}
	r.Header.Set("Content-Type", "application/json")
	c.authorize(r.Header.Set)
	answer, err := c.http.Do(r) //nolint:bodyclose // openBody closes it
	if err != nil {
		err := c.unanswered(ctx, ctx, err)
		return nil, nil, errors.Join(err, opened.Close())
	}
	opened.ReadCloser = answer.Body
	if answer.StatusCode >= 300 {
		defer opened.Close()
		return nil, answer.Header, c.failure(answer)
	}
	return opened, answer.Header, nil
}

// openBody is the body of an answer that is being given.
type openBody struct {
	io.ReadCloser // nil before there is one
	ear           *ear
	cancel        context.CancelCauseFunc
	why           func() error // the request was broken off, or nil
}

// Read reads from the body. Its error is why the request was broken off, where it was.
func (b *openBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.ear.hears()
	}
	if why := b.why(); err != nil && why != nil {
		err = why
	}
	return n, err
}

// Close ends the request.
func (b *openBody) Close() error {
	b.ear.close()
	b.cancel(nil)
	if b.ReadCloser == nil {
		return nil
	}
	return b.ReadCloser.Close()
}
