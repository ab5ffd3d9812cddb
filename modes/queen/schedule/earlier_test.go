package schedule

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
)

// TestWhoWaitedAtAnEarlierQueenKeepsHisPlace, in whatever order all come to this one,
// and however few may wait here.
func TestWhoWaitedAtAnEarlierQueenKeepsHisPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := one(t, Options{Depth: 1})
		d.Hold()
		began := time.Now()
		come := func(name, client string, p ops.Priority, after time.Duration) *asked {
			return d.ask(Request{Job: name, Model: "bee", Client: client, Priority: p, Came: began.Add(after - time.Hour), Again: true})
		}
		all := map[string]*asked{ // in any order
			"batch": come("batch", "a", ops.Batch, 0),
			"third": come("third", "a", "", 3*time.Second),
			"other": come("other", "b", "", 4*time.Second),
			"first": come("first", "a", "", time.Second),
			"next":  come("next", "a", "", 2*time.Second),
		}
		all["late"] = d.ask(Request{Model: "bee", Client: "c"}) // the only one that counts for the depth
		synctest.Wait()
		for name, a := range all {
			if a.has() {
				t.Errorf("%s is served while all are to wait", name)
			}
		}
		d.Go()
		var order []string
		for range len(all) {
			for name, a := range all {
				if a.has() {
					order = append(order, name)
					delete(all, name)
					a.lease.Release()
					break
				}
			}
		}
		if want := []string{"first", "other", "late", "next", "third", "batch"}; !slices.Equal(order, want) {
			t.Errorf("served %v, want %v", order, want)
		}
		x, err := d.Explain("third")
		if err != nil || !x.At.Equal(began.Add(3*time.Second-time.Hour)) {
			t.Errorf("explained: %+v, %v", x, err)
		}
	})
}
