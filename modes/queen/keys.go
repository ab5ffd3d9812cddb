package queen

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/modes/queen/gateway"
	"rbee.dev/rbee/ops"
)

// KeyCreate makes an API key of a secret that never comes here before it is used.
func (q *Queen) KeyCreate(ctx context.Context, o ops.KeyCreate) (ops.Key, error) {
	if len(o.Models) > 0 {
		q.warnOfModels(ctx, o.Models)
	}
	return q.access.Create(ctx, o)
}

// warnOfModels tells of the models that a key is for and no hive has. One may come.
func (q *Queen) warnOfModels(ctx context.Context, names []string) {
	for _, name := range q.missing(q.models(ctx).Models, names) {
		ops.Warn(ctx, "keys", "no hive has a model %q; `rbee model list` shows those there are", name)
	}
}

// missing are those of the names that are of none of these models, and mean none.
func (q *Queen) missing(there []ops.Model, names []string) []string {
	other := q.aliases.get()
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		meant := cmp.Or(other[name], name)
		return ops.IsModelReference(meant) || slices.ContainsFunc(there, func(m ops.Model) bool { return m.ID == meant || m.ID == name })
	})
}

// KeyList lists the API keys, with the models of each that there are not.
func (q *Queen) KeyList(context.Context, ops.KeyList) (ops.Keys, error) {
	list, there := q.access.List(), []ops.Model{}
	for _, id := range q.books.ids() {
		snapshot, _ := q.books.snapshot(id) // of those that are down too
		there = append(there, snapshot.Models...)
	}
	for i, k := range list.Keys {
		if len(k.Models) > 0 && k.State == ops.KeyActive {
			list.Keys[i].Missing = q.missing(there, k.Models)
		}
	}
	return list, nil
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
	guest, began, sink := q.access.Guest(ops.CallerOf(ctx)), time.Now(), ops.SinkOf(ctx)
	size := len(o.Prompt) + len(o.System)
	if sink.Cursor().Target == "" { // after a restart it was let in already
		if err := guest.Reserve(gateway.PromptTokens(size) + cmp.Or(o.MaxTokens, gateway.UsualAnswer)); err != nil {
			guest.Refused()
			return nil, err
		}
	}
	heard := &tally{Sink: sink}
	var result any
	named, err := q.plainly(ctx, o)
	if err == nil {
		o = named.(ops.Infer)
		result, err = q.route(ops.WithSink(ctx, heard), o)
	}
	if err != nil && errors.Is(context.Cause(ctx), ops.ErrDetached) {
		return nil, err // it goes on, and is counted by the next process
	}
	q.over(ctx, err, heard.pieces > 0)
	if err == nil {
		answer, ok := answerIn(result)
		guest.Used(gateway.Use{
			Model: answer.Model, TokensIn: answer.PromptTokens, TokensOut: answer.CompletionTokens,
			Took: time.Duration(answer.DurationMS * float64(time.Millisecond)),
		})
		if answer.JobID = sink.JobID(); ok {
			return answer, nil
		}
		return result, nil
	}
	use := gateway.Use{Model: cmp.Or(heard.model, q.known(o.Model)), Took: time.Since(began), Failed: context.Cause(ctx) == nil} // who cancels has not met an error
	if n := heard.pieces; n > 0 {
		use.TokensIn, use.TokensOut, use.Estimated = gateway.PromptTokens(size), n, true
	}
	guest.Used(use)
	return nil, err
}

// over remembers how the job of ctx was over; begun says that it had been answered
// in part.
func (q *Queen) over(ctx context.Context, err error, begun bool) {
	how := ops.EndedDone
	switch {
	case err == nil:
	case errors.Is(context.Cause(ctx), ops.ErrDetached):
		return // the next queen goes on with it
	case ops.CodeOf(context.Cause(ctx)) == ops.CodeCancelled:
		how, err = ops.EndedCancelled, nil
	case begun:
		how = ops.EndedBroken
	default:
		how = ops.EndedFailed
	}
	q.schedule.End(ops.SinkOf(ctx).JobID(), how, err)
}

// tally is a job's sink that counts the pieces of text, and knows whose they are.
// Forwarding calls it from the job's own goroutine.
type tally struct {
	ops.Sink
	pieces int
	model  string
}

// toldModel notes which model answers the context's job.
func toldModel(ctx context.Context, model string) {
	if t, ok := ops.SinkOf(ctx).(*tally); ok {
		t.model = model
	}
}

// Mark counts text.
func (t *tally) Mark(e ops.Event, at ops.Cursor) {
	if _, ok := e.(ops.TokenEvent); ok {
		t.pieces++
	}
	t.Sink.Mark(e, at)
}

// known is the own name of a model that a hive has, or "": names that mean nothing
// make no entries.
func (q *Queen) known(name string) string {
	if name = q.meant(name); q.has(name) {
		return name
	}
	return ""
}

// modelNames are the names of the models that hives have, and the other ones.
func (q *Queen) modelNames() []string {
	names := slices.Collect(maps.Keys(q.aliases.get()))
	for _, m := range q.books.models() {
		names = append(names, m.ID)
	}
	return names
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
