package schedule

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/ops"
)

func TestWhatIsExplainedStaysTheSameAfterABusyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 1<<20, bee)
		d.add("b", 8<<30, bee)
		explained := func() (list []ops.Explanation) {
			t.Helper()
			for i := range 3 {
				x, err := d.Explain(fmt.Sprint("job-", i))
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, x)
			}
			return list
		}
		for i := range 3 { // the first has a worker started
			d.get(Request{Job: fmt.Sprint("job-", i), Model: "bee", Client: "me"}).Release()
		}
		before := explained()
		d.Compact()
		if diff := cmp.Diff(before, explained()); diff != "" {
			t.Errorf("it has changed: %s", diff)
		}
		d.get(Request{Job: "job-1", Model: "bee"}).Release() // once more, which its neighbours must not feel
		after := explained()
		if diff := cmp.Diff([]ops.Explanation{before[0], before[2]}, []ops.Explanation{after[0], after[2]}); diff != "" {
			t.Errorf("one request's decision has changed another's: %s", diff)
		}
		if len(after[1].Decisions) != 2 {
			t.Errorf("the second decision is not there: %+v", after[1])
		}
	})
}

func TestTheOldestAreStillForgottenAfterABusyTime(t *testing.T) {
	var g ledger
	for i := range keptStories + 10 {
		g.begin(&Request{Job: fmt.Sprint("job-", i)}, 1, 1)
	}
	g.compact()
	g.begin(&Request{Job: "another"}, 1, 1)
	for job, want := range map[string]bool{"job-9": false, "job-10": false, "job-11": true, "another": true} {
		if got := g.stories[job] != nil; got != want {
			t.Errorf("%s is remembered: %v", job, got)
		}
	}
}
