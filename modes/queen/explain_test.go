package queen

import (
	"context"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/modes/queen/access"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// remembering is a queen that runs jobs, by whatever run does, and has a store.
func remembering(t *testing.T, run func(context.Context, ops.Op) (any, error)) (*Queen, *transport.Client) {
	t.Helper()
	q := serving(t, nil)
	var err error
	if q.store, err = openStore(t.Context(), filepath.Join(t.TempDir(), "queen.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.store.Close() })
	if q.access, err = access.Open(t.Context(), access.Options{DB: q.store.db, Token: "token"}); err != nil {
		t.Fatal(err)
	}
	if q.jobs, err = job.NewServer(job.Options[ops.Op]{Mode: "queen", Dir: t.TempDir(), Log: zerolog.Nop(), Run: run}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.jobs.Stop(context.WithoutCancel(t.Context())) })
	s := httptest.NewServer(q.jobs)
	t.Cleanup(s.Close)
	c := transport.New(transport.Options{Name: "queen", BaseURL: s.URL})
	t.Cleanup(c.Close)
	return q, c
}

func TestAJobThatNobodyIsChosenForIsExplainedAsThat(t *testing.T) {
	q, c := remembering(t, func(context.Context, ops.Op) (any, error) { return ops.Models{}, nil })
	listing, err := c.Submit(t.Context(), ops.ModelList{}, "")
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Submit(t.Context(), ops.Infer{Prompt: "Once"}, "") // of which the scheduler knows nothing
	if err != nil {
		t.Fatal(err)
	}
	for job, want := range map[string]string{listing.JobID: "whose operation is model_list", answer.JobID: "the queen was killed before that was written down", "nosuch": "nothing is remembered"} {
		if _, err := q.Explain(t.Context(), ops.Explain{ID: job}); ops.CodeOf(err) != ops.CodeNotFound || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", job, err)
		}
	}
}

// TestWhatAnEarlierQueenRemembersIsExplained: with what has become of jobs since.
func TestWhatAnEarlierQueenRemembersIsExplained(t *testing.T) {
	release := make(chan struct{})
	q, c := remembering(t, func(ctx context.Context, o ops.Op) (any, error) {
		switch o.(ops.Infer).Prompt {
		case "runs":
			<-release
		case "fails":
			return nil, ops.Errorf(ops.CodeUnavailable, "boom").WithHint("ask again")
		}
		return ops.Answer{}, nil
	})
	defer close(release)
	kept := []ops.Explanation{{JobID: "answered", Ended: ops.EndedGone}, {JobID: "lost", Waits: true}}
	ids := map[string]string{"answered": "answered", "lost": "lost"}
	for _, prompt := range []string{"runs", "fails", "is done"} {
		j, err := c.Submit(t.Context(), ops.Infer{Prompt: prompt}, "")
		if err != nil {
			t.Fatal(err)
		}
		if prompt != "runs" {
			for _, err := range c.Follow(t.Context(), j.JobID, 0) {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		kept, ids[prompt] = append(kept, ops.Explanation{JobID: j.JobID}), j.JobID
	}
	for i := range kept {
		kept[i].At, kept[i].Client = time.Now().Add(-time.Minute).UTC(), "kanna"
	}
	if err := q.store.SaveExplanations(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]ops.Explanation{
		"answered": {Ended: ops.EndedGone}, "lost": {Ended: ops.EndedLost}, "runs": {},
		"fails": {Ended: ops.EndedFailed, Error: "boom", Hint: "ask again"}, "is done": {Ended: ops.EndedDone},
	} {
		x, err := q.Explain(t.Context(), ops.Explain{ID: ids[name]})
		if err != nil || x.Ended != want.Ended || x.Error != want.Error || x.Hint != want.Hint || x.Waits || x.Client != "kanna" {
			t.Errorf("the one that %s: %+v, %v", name, x, err)
		}
		if _, err := q.Explain(ops.WithCaller(t.Context(), "kberta"), ops.Explain{ID: ids[name]}); err == nil || !strings.Contains(err.Error(), "nothing is remembered") {
			t.Errorf("somebody else is told of the one that %s: %v", name, err)
		}
	}
}

// TestAJobWhoseModelCannotBeBroughtIsOver: and counts as a request that has failed.
func TestAJobWhoseModelCannotBeBroughtIsOver(t *testing.T) {
	q, _ := remembering(t, nil)
	sink := &noted{}
	_, err := q.doNamed(ops.WithSink(t.Context(), sink), ops.Infer{Model: "hf:bees/none", Prompt: "Once"})
	if ops.CodeOf(err) != ops.CodeNotFound {
		t.Fatalf("it ends with %v", err)
	}
	x, err := q.Explain(t.Context(), ops.Explain{ID: sink.JobID()})
	if err != nil || x.Ended != ops.EndedFailed || x.Asked != "hf:bees/none" || x.Model != "" || !strings.Contains(x.Error, "on no hive") {
		t.Errorf("%+v, %v", x, err)
	}
	report, err := q.Usage(t.Context(), ops.Usage{})
	if err != nil || report.Total.Requests != 1 || report.Total.Errors != 1 || report.Total.TokensIn+report.Total.TokensOut != 0 {
		t.Errorf("it counts as %+v, %v", report, err)
	}
}
