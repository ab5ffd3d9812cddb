package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"

	"github.com/r3labs/sse/v2"

	"rbee.dev/rbee/ops"
)

// State yields the daemon's state and then each change of it, over one
// connection. When that breaks it yields the error and ends; coming back is
// the caller's affair, since a lost state stream means a daemon gone.
func (c *Client) State(ctx context.Context) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		s := connection{client: c, path: "/v1/state/stream", see: func(e *sse.Event) error {
			if !json.Valid(e.Data) {
				return ops.Errorf(ops.CodeInternal, "%s sent a state that is not JSON", c.Name)
			}
			if !yield(bytes.Clone(e.Data), nil) {
				return errEnough
			}
			return nil
		}}
		if err := s.read(ctx); !errors.Is(err, errEnough) {
			yield(nil, err)
		}
	}
}
