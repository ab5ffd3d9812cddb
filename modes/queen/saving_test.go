package queen

import (
	"testing"

	"rbee.dev/rbee/modes/queen/access"
	"rbee.dev/rbee/ops"
)

func TestWhatIsSavedOutlivesAQueenThatIsKilled(t *testing.T) {
	q, _ := remembering(t, nil)
	sink := &noted{}
	if _, err := q.doNamed(ops.WithSink(t.Context(), sink), ops.Infer{Model: "hf:bees/none", Prompt: "Once"}); err == nil {
		t.Fatal("a model that is nowhere answers")
	}
	q.save(t.Context())
	x, ok, err := q.store.Explanation(t.Context(), sink.JobID())
	if err != nil || !ok || x.Ended != ops.EndedFailed {
		t.Errorf("why it went nowhere: %+v, %v, %v", x, ok, err)
	}
	next, err := access.Open(t.Context(), access.Options{DB: q.store.db, Token: "token"})
	if err != nil {
		t.Fatal(err)
	}
	report, err := next.Usage(t.Context(), ops.Usage{})
	if err != nil || report.Total.Requests != 1 {
		t.Errorf("the next queen counts %+v, %v", report, err)
	}
}
