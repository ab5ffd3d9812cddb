package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"

	"github.com/r3labs/sse/v2"
)

// State yields the daemon's state and then each change of it, over one
// connection. When that breaks it yields the error and ends; coming back is
// the caller's affair, since a lost state stream means a daemon gone.
func (c *Client) State(ctx context.Context) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		err := c.stream(ctx, "/v1/state/stream", 0, func(e *sse.Event) error {
			if !json.Valid(e.Data) {
				return errors.New("the stream broke off within a state")
			}
			if !yield(bytes.Clone(e.Data), nil) {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			yield(nil, err)
		}
	}
}
