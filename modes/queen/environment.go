package queen

import (
	"context"
	"encoding/json"
	"net/http"

	"rbee.dev/rbee/ops"
)

// serveEnvironment answers POST [ops.EnvironmentPath]. What is set goes to the hive
// and is kept nowhere here.
func (q *Queen) serveEnvironment(w http.ResponseWriter, r *http.Request) {
	var e ops.Environment
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	decoder.DisallowUnknownFields()
	var answer ops.Variables
	var err error
	if decoder.Decode(&e) != nil { // whose text might quote a secret
		err = ops.Invalid("", "the body is not an environment")
	} else {
		answer, err = q.environment(r.Context(), e)
	}
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		e := ops.AsError(err)
		w.WriteHeader(e.Code.HTTPStatus())
		_ = json.NewEncoder(w).Encode(e) // the keeper may be gone
		return
	}
	_ = json.NewEncoder(w).Encode(answer) // the keeper may be gone
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
