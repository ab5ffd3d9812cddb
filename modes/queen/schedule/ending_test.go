package schedule

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
)

func TestHowARequestWasOverIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 8<<30, bee)
		d.run("a", "w", "bee", 1)
		lease := d.get(Request{Job: "job", Model: "bee", Alias: "fast"})
		if x := d.explained("job"); x.Ended != "" || x.TookMS != 0 || x.Alias != "fast" {
			t.Errorf("while it runs: %+v", x)
		}
		time.Sleep(2 * time.Second)
		lease.Release()
		d.End("job", ops.EndedBroken, ops.Errorf(ops.CodeUnavailable, "w broke off").WithHint("ask again"))
		d.End("unknown", ops.EndedDone, nil)
		if x := d.explained("job"); x.Ended != ops.EndedBroken || x.TookMS != 2000 || x.Error != "w broke off" || x.Hint != "ask again" || x.Alias != "fast" {
			t.Errorf("afterwards: %+v", x)
		}
		if _, err := d.Explain("unknown"); ops.CodeOf(err) != ops.CodeNotFound {
			t.Errorf("one that nobody has sent: %v", err)
		}
	})
}

// TestWhyARequestWasRefusedOutlastsHowItEnded: what was known first says more.
func TestWhyARequestWasRefusedOutlastsHowItEnded(t *testing.T) {
	d := newDepot(t, Options{})
	defer d.Close()
	d.Refuse(Request{Job: "job", Model: "bee"}, ops.Errorf(ops.CodeNotFound, "there is no bee"))
	d.End("job", ops.EndedFailed, ops.Errorf(ops.CodeInternal, "it failed"))
	if x := d.explained("job"); x.Ended != ops.EndedFailed || x.Error != "there is no bee" {
		t.Errorf("%+v", x)
	}
}

func TestNewsIsWhatWasNotedSinceTheLastTime(t *testing.T) {
	d := newDepot(t, Options{})
	defer d.Close()
	d.add("a", 8<<30, bee)
	d.run("a", "w", "bee", 8)
	news := func(most int) (list string) {
		for _, x := range d.News(most) {
			list += x.JobID + string(x.Ended) + " "
		}
		return list
	}
	for i := range 4 {
		d.get(Request{Job: strconv.Itoa(i), Model: "bee"}).Release()
	}
	d.End("1", ops.EndedDone, nil)
	if got := news(9); got != "0 1done 2 3 " {
		t.Errorf("of all: %q", got)
	}
	if got := news(9); got != "" {
		t.Errorf("once more: %q", got)
	}
	d.End("0", ops.EndedGone, nil)
	d.End("3", ops.EndedDone, nil)
	if got := news(1); got != "3done " {
		t.Errorf("of one only: %q", got)
	}
	if got, n := news(1), d.Unwritten(); got != "0gone " || n != 0 {
		t.Errorf("of what was left then: %q, and %d more", got, n)
	}
	d.Untold([]ops.Explanation{{JobID: "3"}, {JobID: "unknown"}})
	if n := d.Unwritten(); n != 1 {
		t.Errorf("of one that could not be written down: %d", n)
	}
	if got := news(9); got != "3done " {
		t.Errorf("of what could not be written down: %q", got)
	}
	for i := range keptStories { // others are forgotten for them
		d.Refuse(Request{Job: "x" + strconv.Itoa(i)}, ops.Errorf(ops.CodeNotFound, "no"))
	}
	if got := news(2); got != "x1998 x1999 " {
		t.Errorf("of a full ledger: %q", got)
	}
}

// TestWhatIsWrittenDownIsForgotten: of requests that are over, and of which nothing
// was noted meanwhile.
func TestWhatIsWrittenDownIsForgotten(t *testing.T) {
	d := newDepot(t, Options{})
	defer d.Close()
	d.add("a", 8<<30, bee)
	d.run("a", "w", "bee", 8)
	for _, job := range []string{"over", "noted", "runs", "later"} {
		d.get(Request{Job: job, Model: "bee"}).Release()
		if job != "runs" {
			d.End(job, ops.EndedDone, nil)
		}
	}
	news := d.News(3) // without the oldest
	d.Failed("noted", ops.Errorf(ops.CodeInternal, "it broke"))
	d.Written(news)
	for job, want := range map[string]bool{"over": true, "noted": true, "runs": true, "later": false} {
		if _, err := d.Explain(job); (err == nil) != want {
			t.Errorf("of %s: %v", job, err)
		}
	}
	d.End("runs", ops.EndedDone, nil)
	d.Written(append(d.News(9), ops.Explanation{JobID: "unknown"}))
	if d.past.stories != nil || d.past.order != nil {
		t.Errorf("remembered are %v", d.past.order)
	}
	d.get(Request{Job: "another", Model: "bee"}).Release()
	if x := d.explained("another"); len(x.Decisions) != 1 {
		t.Errorf("the next: %+v", x)
	}
}

func TestARequestThatAWorkerFailedHasWaitedForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 8<<30, bee)
		d.run("a", "v", "bee", 1)
		d.run("a", "w", "bee", 1)
		r := Request{Job: "job", Model: "bee"}
		lease := d.get(r)
		time.Sleep(time.Second)
		lease.Release()
		r.Without, r.Again = map[Key]bool{lease.Key(): true}, true
		d.get(r).Release()
		if x := d.explained("job"); len(x.Decisions) != 2 || x.WaitedMS != 0 {
			t.Errorf("%+v", x)
		}
	})
}
