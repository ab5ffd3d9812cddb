package queen

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/modes/queen/gateway"
	"rbee.dev/rbee/ops"
)

// KeyCreate makes an API key of a secret that never comes here before it is used.
func (q *Queen) KeyCreate(ctx context.Context, o ops.KeyCreate) (ops.Key, error) {
	return q.access.Create(ctx, o)
}

// KeyList lists the API keys.
func (q *Queen) KeyList(context.Context, ops.KeyList) (ops.Keys, error) {
	return q.access.List(), nil
}

// KeyRevoke ends an API key.
func (q *Queen) KeyRevoke(ctx context.Context, o ops.KeyRevoke) (ops.KeyEnded, error) {
	return q.access.Revoke(ctx, o)
}

// Usage tells who has used what.
func (q *Queen) Usage(ctx context.Context, o ops.Usage) (ops.UsageReport, error) {
	return q.access.Usage(ctx, o)
}

// infer has text made by a job, and counts what it has cost.
func (q *Queen) infer(ctx context.Context, o ops.Infer) (any, error) {
	began := time.Now()
	result, err := q.route(ctx, o)
	by := ops.CallerOf(ctx)
	if err != nil {
		cause := context.Cause(ctx)
		if errors.Is(cause, ops.ErrDetached) {
			return nil, err // it goes on, and is counted by the next process
		}
		if cause == nil { // who cancels has not met an error
			q.access.Failed(by, o.Model, time.Since(began))
		}
		return nil, err
	}
	if answer, ok := answerIn(result); ok {
		q.access.Answered(by, answer)
	}
	return result, nil
}

// answerIn reads the result of a job that was forwarded.
func answerIn(result any) (answer ops.Answer, ok bool) {
	switch r := result.(type) {
	case ops.Answer:
		return r, true
	case json.RawMessage:
		return answer, json.Unmarshal(r, &answer) == nil
	}
	return answer, false
}

// refuse answers requests for inference that are not let in, in the words of the
// API that they are for.
func (q *Queen) refuse(w http.ResponseWriter, r *http.Request, refusal job.Refusal) bool {
	if !q.access.IsInference(r.URL.Path) {
		return false
	}
	gateway.Refuse(w, r, refusal.Status, refusal.Failure)
	return true
}
