package transport

import (
	"bytes"
	"context"
	"encoding/json"
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
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.BaseURL+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, fmt.Errorf("make the request to %s: %w", c.Name, err)
	}
	r.Header.Set("Content-Type", "application/json")
	c.authorize(r.Header.Set)
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, nil, c.unanswered(ctx, ctx, err)
	}
	if answer.StatusCode >= 300 {
		defer answer.Body.Close()
		return nil, answer.Header, c.failure(answer)
	}
	return answer.Body, answer.Header, nil
}
