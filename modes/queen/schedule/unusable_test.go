package schedule

import (
	"strings"
	"testing"
	"testing/synctest"

	"rbee.dev/rbee/ops"
)

// TestNobodyWaitsForAHiveThatStaysDown: one that may be back in a moment is waited
// for, until it is known to hang.
func TestNobodyWaitsForAHiveThatStaysDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 8<<30, ops.Model{ID: "bee"})
		d.Lost("a")
		waits := d.ask(Request{Model: "bee", Again: true})
		select {
		case <-waits.done:
			t.Fatalf("it does not wait: %v", waits.err)
		default:
		}
		d.Down("a", "it hangs")
		d.Stays("a")
		if <-waits.done; ops.CodeOf(waits.err) != ops.CodeUnavailable || !strings.Contains(waits.err.Error(), "it hangs") {
			t.Errorf("it gets %v", waits.err)
		}
	})
}

// TestAWorkerOfAModelWhoseFileIsDamagedIsRefusedWithThat: one that has read it before
// goes on.
func TestAWorkerOfAModelWhoseFileIsDamagedIsRefusedWithThat(t *testing.T) {
	d := newDepot(t, Options{})
	t.Cleanup(d.Close)
	d.add("a", 8<<30, ops.Model{ID: "bee", Error: "the file ends in the middle", Hint: "download it again"})
	d.run("a", "w1", "bee", 1)
	_, err := d.Settle(t.Context(), Request{Model: "bee"})
	e := ops.AsError(err)
	if e == nil || e.Message != "bee cannot be used on a: the file ends in the middle" || e.Hint != "download it again" {
		t.Errorf("got %+v", e)
	}
	d.change("a", func(s *ops.HiveSnapshot) { s.Models = nil })
	if _, err := d.Settle(t.Context(), Request{Model: "bee"}); err == nil || !strings.Contains(err.Error(), "no hive has a file of bee") {
		t.Errorf("without any file: %v", err)
	}
}

func TestADeletedModelOfWhichOnlyAFailedWorkerIsLeftIsNone(t *testing.T) {
	d := newDepot(t, Options{Aliases: func() map[string]string { return map[string]string{"old": "bee"} }})
	t.Cleanup(d.Close)
	d.add("a", 8<<30, ops.Model{ID: "bee"}, ops.Model{ID: "ant"})
	d.place(ops.Worker{ID: "w1", HiveID: "a", Model: "bee", State: ops.WorkerFailed})
	d.change("a", func(s *ops.HiveSnapshot) { s.Models = s.Models[1:] })
	_, err := d.Settle(t.Context(), Request{Model: "bee"})
	if e := ops.AsError(err); ops.CodeOf(err) != ops.CodeNotFound || e.Message != `there is no model "bee" on any hive` || e.Hint != "there are: ant; `rbee model download` brings others" {
		t.Errorf("got %+v", e)
	}
}

func TestOfTheBuiltInModelItIsSaidHowItComesBack(t *testing.T) {
	d := newDepot(t, Options{})
	t.Cleanup(d.Close)
	d.add("a", 8<<30, ops.Model{ID: "bee"})
	_, err := d.Settle(t.Context(), Request{Model: "tinybee"})
	if e := ops.AsError(err); ops.CodeOf(err) != ops.CodeNotFound || !strings.Contains(e.Hint, "it is built in, and was deleted") {
		t.Errorf("got %+v", e)
	}
}
