package queen

import (
	"context"
	"encoding/json"
	"net/http"

	"rbee.dev/rbee/ops"
)

// serveSecret answers a call beside the operations, which holds secrets: it is kept
// in no job, and an error never quotes it. what is what the body is to be.
func serveSecret[In, Out any](w http.ResponseWriter, r *http.Request, what string, do func(context.Context, In) (Out, error)) {
	var in In
	var out Out
	var err error
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&in) != nil { // whose text might quote a secret
		err = ops.Invalid("", "the body is not %s", what)
	} else {
		out, err = do(r.Context(), in)
	}
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		e := ops.AsError(err)
		w.WriteHeader(e.Code.HTTPStatus())
		_ = json.NewEncoder(w).Encode(e) // the keeper may be gone
		return
	}
	_ = json.NewEncoder(w).Encode(out) // the keeper may be gone
}
