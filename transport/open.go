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
// understood too.
func (c *Client) Open(ctx context.Context, path string, in any) (io.ReadCloser, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encode the request to %s: %w", c.Name, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.BaseURL+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make the request to %s: %w", c.Name, err)
	}
	r.Header.Set("Content-Type", "application/json")
	c.authorize(r.Header.Set)
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, c.unanswered(ctx, ctx, err)
	}
	if answer.StatusCode >= 300 {
		defer answer.Body.Close()
		return nil, c.failure(answer)
	}
	return answer.Body, nil
}
