package queen

import (
	"context"

	"rbee.dev/rbee/ops"
)

// Explain tells why a request went where it did.
func (q *Queen) Explain(_ context.Context, o ops.Explain) (ops.Explanation, error) {
	return q.schedule.Explain(o.ID)
}
