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
		d.Compact()
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
	if got := news(1); got != "" {
		t.Errorf("of what was left out then: %q", got)
	}
	d.Untold([]ops.Explanation{{JobID: "3"}, {JobID: "unknown"}})
	if got := news(9); got != "3done " {
		t.Errorf("of what could not be written down: %q", got)
	}
	for i := range keptStories { // the ring is full, and goes round
		d.Refuse(Request{Job: "x" + strconv.Itoa(i)}, ops.Errorf(ops.CodeNotFound, "no"))
	}
	if got := news(2); got != "x1998 x1999 " {
		t.Errorf("of a full ledger: %q", got)
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
