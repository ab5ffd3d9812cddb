package schedule

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
)

// TestTheDecisionTableOfAFullQueue is who waits where as many do as may. A request is
// told as its client, with a + behind it where it is batch, and a ! where it is tried
// again.
func TestTheDecisionTableOfAFullQueue(t *testing.T) {
	for _, tt := range []struct {
		name    string
		depth   int
		running string // whose request has the slot
		waiting string
		comes   string
		want    string // refused, or which of those that wait makes way: the first is 1; or "waits"
	}{
		{"there is room", 3, "x", "a a", "b", "waits"},
		{"nobody makes way for who would have as many", 2, "x", "a b", "c", "refused"},
		{"nor where one of theirs runs", 2, "a", "a b", "c", "refused"},
		{"nor whose turn was earlier", 3, "b", "a b c", "d", "refused"},
		{"who has more than the newcomer would makes way, by the last one", 2, "x", "a a", "b", "2"},
		{"though somebody else is the last in turn", 3, "b", "a a b", "c", "2"},
		{"of several who has most", 5, "x", "a a b b b", "c", "5"},
		{"not for one's own", 2, "x", "a a", "a", "refused"},
		{"not for who would have as many, then", 3, "x", "a a b", "b", "refused"},
		{"but for who would still have fewer", 4, "x", "a a a b", "b", "3"},
		{"batch for interactive", 2, "x", "a b+", "c", "2"},
		{"whoever has fewer", 3, "x", "a a b+", "a", "3"},
		{"one's own, too", 2, "x", "a a+", "a", "2"},
		{"of batch ones that of who has more", 3, "b", "a+ a+ b+", "c", "2"},
		{"before any interactive one", 3, "x", "a a b+", "c", "3"},
		{"interactive never for batch", 2, "x", "a a", "b+", "refused"},
		{"batch for batch of who has fewer", 2, "x", "a+ a+", "b+", "2"},
		{"counted with the interactive ones of both", 4, "x", "a b b c+", "b+", "refused"},
		{"and so is who makes way", 3, "x", "a a a+", "b+", "3"},
		{"not one that is tried again", 1, "x", "a! a! a", "b", "refused"},
		{"nor does it need room", 2, "x", "a a", "b!", "waits"},
		{"a queue of one", 1, "x", "a", "b", "refused"},
		{"which is batch", 1, "x", "a+", "b", "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := one(t, Options{Depth: tt.depth})
				running := d.get(Request{Model: "bee", Client: tt.running})
				defer running.Release()
				var all []*asked
				for i, who := range strings.Fields(tt.waiting) {
					all = append(all, d.ask(called(who, fmt.Sprint(i+1))))
				}
				comes := d.ask(called(tt.comes, "comes"))
				if got := outcome(all, comes); got != tt.want {
					t.Errorf("%s come to %s: %s, want %s", tt.comes, tt.waiting, got, tt.want)
				}
				again := strings.Count(tt.waiting+tt.comes, "!")
				if n := d.Waiting()["bee"]; n > tt.depth+again {
					t.Errorf("%d wait, where %d may", n, tt.depth)
				}
				if x := d.explained("comes"); x.Waiting > tt.depth+again {
					t.Errorf("it is told of %d that wait, where %d may", x.Waiting, tt.depth)
				}
				for _, a := range append(all, comes) {
					a.leave()
					<-a.done
				}
			})
		})
	}
}

// called is the request that the table calls so.
func called(who, job string) Request {
	r := Request{Job: job, Model: "bee", Client: strings.TrimRight(who, "+!"), Again: strings.HasSuffix(who, "!")}
	if strings.HasSuffix(who, "+") {
		r.Priority = ops.Batch
	}
	return r
}

// outcome is what became of those that waited and of the one that came, in the
// table's words.
func outcome(waited []*asked, comes *asked) string {
	var list []string
	for i, a := range waited {
		if a.over() {
			list = append(list, fmt.Sprint(i+1))
		}
	}
	switch {
	case comes.over():
		list = append(list, "refused")
	case len(list) == 0:
		return "waits"
	}
	return strings.Join(list, " and ")
}

// over reports whether the request waits no more.
func (a *asked) over() bool {
	synctest.Wait()
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// TestWhoMakesWayIsToldSo: for whom, and so is who asks why later, who is told how
// long it has waited, too.
func TestWhoMakesWayIsToldSo(t *testing.T) {
	for name, tt := range map[string]struct{ waits, comes, told string }{
		"for who has fewer waiting": {"a", "b", "made way for a client with fewer requests waiting (1, this one's has 2): 2 requests wait for bee already"},
		"for an interactive one":    {"b+", "c", "made way for an interactive request: 2 requests wait for bee already"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := one(t, Options{Depth: 2})
				running := d.get(Request{Model: "bee", Client: "x"})
				defer running.Release()
				first := d.ask(called("a", "first"))
				out := d.ask(called(tt.waits, "out"))
				time.Sleep(3 * time.Second)
				in := d.ask(called(tt.comes, "in"))
				<-out.done
				full, ok := errors.AsType[*FullError](out.err)
				if !ok || out.err.Error() != tt.told || ops.CodeOf(out.err) != ops.CodeBusy || full.Waiting != 2 || full.RetryAfter < time.Second ||
					!strings.Contains(ops.AsError(out.err).Hint, "try again in 1 s") {
					t.Errorf("it is told %v, %+v", out.err, full)
				}
				x := d.explained("out")
				last := x.Decisions[len(x.Decisions)-1]
				if x.WaitedMS != 3000 || x.Error != tt.told || x.Place != 2 || x.Waiting != 2 {
					t.Errorf("explained: %+v", x)
				}
				if last.Outcome != ops.DecidedMadeWay || len(last.Notes) != 1 || !strings.Contains(tt.told, last.Notes[0]) || len(last.Workers) != 1 || last.Workers[0].Reason != "full" {
					t.Errorf("its last decision: %+v", last)
				}
				if n := d.Waiting()["bee"]; n != 2 {
					t.Errorf("%d wait", n)
				}
				for _, a := range []*asked{first, in} {
					a.leave()
					<-a.done
				}
			})
		})
	}
}

func TestWhoIsRefusedAtTheDoorIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := one(t, Options{Depth: 1})
		running := d.get(Request{Model: "bee", Client: "x"})
		defer running.Release()
		first := d.ask(called("a", "first"))
		again := d.ask(called("a", "again"))
		<-again.done
		full, ok := errors.AsType[*FullError](again.err)
		if !ok || ops.CodeOf(again.err) != ops.CodeBusy || again.err.Error() != "1 request waits for bee already" || full.RetryAfter < time.Second || full.RetryAfter > time.Minute {
			t.Errorf("it is told %v, %+v", again.err, full)
		}
		x := d.explained("again")
		if x.WaitedMS != 0 || x.Place != 0 || x.Waiting != 0 || len(x.Decisions) != 1 || x.Decisions[0].Outcome != ops.DecidedFull || x.Error != again.err.Error() {
			t.Errorf("explained: %+v", x)
		}
		time.Sleep(2 * time.Second)
		first.leave()
		<-first.done
		if x := d.explained("first"); x.WaitedMS != 2000 || !strings.Contains(x.Error, "went away") {
			t.Errorf("one that goes away: %+v", x)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancelled := make(chan error)
		go func() {
			_, err := d.Acquire(ctx, called("a", "cancelled"))
			cancelled <- err
		}()
		synctest.Wait()
		cancel(ops.Errorf(ops.CodeCancelled, "the job was cancelled"))
		if err := <-cancelled; err == nil || d.explained("cancelled").Error != "the job was cancelled" {
			t.Errorf("one whose job is cancelled: %v, %+v", err, d.explained("cancelled"))
		}
	})
}
