package queen

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rbee.dev/rbee/modes/queen/access"
	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
)

func TestWhatIsSavedOutlivesAQueenThatIsKilled(t *testing.T) {
	q, _ := remembering(t, nil)
	sink := &noted{}
	if _, err := q.doNamed(ops.WithSink(t.Context(), sink), ops.Infer{Model: "hf:bees/none", Prompt: "Once"}); err == nil {
		t.Fatal("a model that is nowhere answers")
	}
	q.save(t.Context(), false)
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

// TestWhatIsWrittenDownIsExplainedAsBefore: from the database, where memory holds it
// no longer.
func TestWhatIsWrittenDownIsExplainedAsBefore(t *testing.T) {
	q, _ := remembering(t, nil)
	explained := func() (list []ops.Explanation) {
		t.Helper()
		for i := range explainedAtOnce + 1 {
			x, err := q.Explain(t.Context(), ops.Explain{ID: fmt.Sprint("job", i)})
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, x)
		}
		return list
	}
	for i := range explainedAtOnce + 1 {
		r := schedule.Request{Job: fmt.Sprint("job", i), Model: "bee", Alias: "fast", Client: ops.ByToken}
		q.schedule.Refuse(r, ops.Errorf(ops.CodeNotFound, "there is no bee").WithHint("bring it"))
		q.schedule.End(r.Job, ops.EndedFailed, nil)
	}
	before := explained()
	for _, tt := range []struct {
		all  bool
		left int
	}{{false, 1}, {true, 0}} {
		q.save(t.Context(), tt.all)
		if n := q.schedule.Unwritten(); n != tt.left {
			t.Errorf("with all %t, %d are not written", tt.all, n)
		}
		if diff := cmp.Diff(before, explained(), cmpopts.EquateApproxTime(time.Millisecond)); diff != "" {
			t.Errorf("with all %t: %s", tt.all, diff)
		}
	}
	for i := range explainedAtOnce + 1 {
		if _, err := q.schedule.Explain(fmt.Sprint("job", i)); ops.CodeOf(err) != ops.CodeNotFound {
			t.Fatalf("memory still has job%d: %v", i, err)
		}
	}
}
