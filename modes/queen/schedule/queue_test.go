package schedule

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
)

// bee is a model of a gigabyte.
var bee = ops.Model{ID: "bee", Size: 1 << 30}

// one is a depot with one worker of one slot, and no room for another.
func one(t *testing.T, o Options) *depot {
	d := newDepot(t, o)
	t.Cleanup(d.Close)
	d.add("gpu1", 8<<30, bee)
	d.run("gpu1", "w", "bee", 1)
	return d
}

func TestThoseWhoWaitGetTheirTurns(t *testing.T) {
	for name, tt := range map[string]struct {
		running string   // whose request has the slot
		asked   []string // client, and with a + behind it a batch request
		want    []string
	}{
		"in the order they came":                    {"x", []string{"a", "b", "c"}, []string{"a", "b", "c"}},
		"each client once before anyone twice":      {"x", []string{"a", "a", "a", "b", "c", "b"}, []string{"a", "b", "c", "a", "b", "a"}},
		"who has one that runs had a turn":          {"a", []string{"a", "b"}, []string{"b", "a"}},
		"interactive before batch, whoever's it is": {"x", []string{"a+", "a+", "b", "b"}, []string{"b", "b", "a+", "a+"}},
		"batch fairly too":                          {"x", []string{"a+", "a+", "b+"}, []string{"a+", "b+", "a+"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := one(t, Options{})
				lease := d.get(Request{Model: "bee", Client: tt.running})
				all := map[string][]*asked{}
				for _, who := range tt.asked {
					r := Request{Model: "bee", Client: strings.TrimSuffix(who, "+")}
					if r.Client != who {
						r.Priority = ops.Batch
					}
					all[who] = append(all[who], d.ask(r))
				}
				var order []string
				for range tt.asked {
					lease.Release()
					synctest.Wait()
					for who, list := range all {
						if len(list) > 0 && list[0].has() {
							order = append(order, who)
							lease, all[who] = list[0].lease, list[1:]
						}
					}
				}
				lease.Release()
				if !slices.Equal(order, tt.want) {
					t.Errorf("their turns came in the order %v, want %v", order, tt.want)
				}
			})
		})
	}
}

func TestARequestThatIsTriedAgainDoesNotCountAgainstTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := one(t, Options{Depth: 2})
		lease := d.get(Request{Model: "bee", Client: "x"})
		tried := func() *asked {
			return d.ask(Request{Model: "bee", Client: "x", Again: true, Without: map[Key]bool{{Hive: "gpu1", Worker: "dead"}: true}})
		}
		all := []*asked{tried(), tried(), d.ask(Request{Model: "bee", Client: "a"}), d.ask(Request{Model: "bee", Client: "b"}), tried()}
		more := d.ask(Request{Model: "bee", Client: "c"})
		<-more.done
		if ops.CodeOf(more.err) != ops.CodeBusy {
			t.Errorf("the third that is new got %v", more.err)
		}
		d.Drain(true)
		all = append(all, tried())
		if n := d.Waiting()["bee"]; n != len(all) {
			t.Errorf("%d of %d wait", n, len(all))
		}
		for range all {
			lease.Release()
			synctest.Wait()
			for i, a := range all {
				if a.has() {
					lease, all = a.lease, slices.Delete(all, i, i+1)
					break
				}
			}
		}
		if len(all) > 0 {
			t.Errorf("%d were not answered", len(all))
		}
		lease.Release()
	})
}

func TestWhoGoesAwayLeavesTheQueueAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := one(t, Options{})
		lease := d.get(Request{Model: "bee", Client: "x"})
		gone, next := d.ask(Request{Job: "gone", Model: "bee", Client: "a"}), d.ask(Request{Model: "bee", Client: "b"})
		before := time.Now()
		gone.leave()
		<-gone.done
		if gone.err == nil || d.Waiting()["bee"] != 1 || time.Since(before) != 0 {
			t.Errorf("it left after %s with %v, %d wait", time.Since(before), gone.err, d.Waiting()["bee"])
		}
		lease.Release()
		if !next.has() {
			t.Error("the next one did not get its turn")
		}
		next.lease.Release()
		next.lease.Release() // a second time it does nothing
		d.get(Request{Model: "bee"}).Release()
	})
}

func TestWhoWaitsIsToldItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := one(t, Options{})
		lease := d.get(Request{Model: "bee", Client: "x"})
		first, second := d.ask(Request{Model: "bee", Client: "a"}), d.ask(Request{Model: "bee", Client: "b"})
		time.Sleep(tellEvery)
		synctest.Wait()
		lease.Release()
		if !first.has() {
			t.Fatal("the first has no turn")
		}
		time.Sleep(tellEvery)
		synctest.Wait()
		if got := second.said.all(); !slices.Equal(got, []string{"queen: place 2 of 2 in the queue for bee", "queen: place 1 of 1 in the queue for bee"}) {
			t.Errorf("the second was told %q", got)
		}
		time.Sleep(tellAgain)
		synctest.Wait()
		if n := len(second.said.all()); n != 3 {
			t.Errorf("after a while without news it was told %d things", n)
		}
		first.lease.Release()
		<-second.done
		second.lease.Release()
	})
}

func TestAWaiterWithoutAWorkerToWaitForIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := one(t, Options{})
		lease := d.get(Request{Model: "bee"})
		a := d.ask(Request{Job: "j", Model: "bee"})
		d.Lost("gpu1")
		<-a.done
		if ops.CodeOf(a.err) != ops.CodeUnavailable || !strings.Contains(a.err.Error(), "gpu1: the hive does not answer") || !strings.Contains(ops.AsError(a.err).Hint, "rbee explain j") {
			t.Errorf("refused by %v (%s)", a.err, ops.AsError(a.err).Hint)
		}
		lease.Release() // of a worker that is gone
	})
}

func TestARequestsJobIsToldThatItWaitsAndThatItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := one(t, Options{})
		var told []bool
		ctx, cancel := context.WithCancel(ops.WithTurn(t.Context(), func(waits bool) { told = append(told, waits) }))
		first, err := d.Acquire(ctx, Request{Model: "bee"})
		if err != nil || len(told) > 0 {
			t.Fatalf("one that finds a slot is told %v, %v", told, err)
		}
		done := make(chan *Lease)
		acquire := func() {
			lease, _ := d.Acquire(ctx, Request{Model: "bee"})
			done <- lease
		}
		go acquire()
		synctest.Wait()
		if !slices.Equal(told, []bool{true}) {
			t.Errorf("one that finds none is told %v", told)
		}
		first.Release()
		second := <-done
		if !slices.Equal(told, []bool{true, false}) {
			t.Errorf("when it has its slot it was told %v", told)
		}
		go acquire()
		synctest.Wait()
		cancel()
		if <-done != nil || !slices.Equal(told, []bool{true, false, true}) {
			t.Errorf("one that leaves was told %v", told)
		}
		second.Release()
	})
}
