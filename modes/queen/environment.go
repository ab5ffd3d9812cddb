package queen

import (
	"context"
	"net/http"

	"rbee.dev/rbee/ops"
)

// serveEnvironment answers POST [ops.EnvironmentPath]. What is set goes to the hive
// and is kept nowhere here.
func (q *Queen) serveEnvironment(w http.ResponseWriter, r *http.Request) {
	serveSecret(w, r, "an environment", q.environment)
}

func (q *Queen) environment(ctx context.Context, e ops.Environment) (answer ops.Variables, err error) {
	if err := e.Validate(); err != nil {
		return answer, err
	}
	id, err := q.hive(e.HiveID)
	if err != nil {
		return answer, err
	}
	h, err := q.reach(ctx, id)
	if err != nil {
		return answer, err
	}
	if err := h.ensure(ctx); err != nil {
		return answer, err
	}
	e.HiveID = id
	err = h.direct().Post(ctx, ops.EnvironmentPath, e, &answer)
	answer.HiveID = id
	return answer, err
}
