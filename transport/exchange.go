package transport

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// Exchange makes one request to a route of the daemon's own and returns the
// answer as it comes, whatever its status; the caller closes its body. The body
// that is sent has length bytes, or as many as it gives for -1, and may be nil.
// The end of ctx breaks both off. An error has ErrUnreachable in its chain, or is
// the cause of ctx.
func (c *Client) Exchange(ctx context.Context, method, path string, header http.Header, body io.Reader, length int64) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.BaseURL+path, body)
	if err != nil {
		return nil, fmt.Errorf("make the request to %s: %w", c.Name, err)
	}
	if body != nil {
		r.ContentLength = length
	}
	for key, values := range header {
		r.Header[key] = values
	}
	c.authorize(r.Header.Set)
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, c.unanswered(ctx, ctx, err)
	}
	return answer, nil
}
