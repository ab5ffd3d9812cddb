package schedule

import (
	"testing"

	"rbee.dev/rbee/ops"
)

// TestADownloadIsToldToAllWhoWaitForIt: to those who came before it and while it ran,
// and not to those who came after.
func TestADownloadIsToldToAllWhoWaitForIt(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	s.Bring(Request{Job: "before", Model: "hf:o/r"})
	s.Bring(Request{Job: "another", Model: "hf:o/other"})
	d := s.Download("hf:o/r")
	s.Bring(Request{Job: "meanwhile", Model: "hf:o/r"})
	d.Decided(ops.Decision{Outcome: ops.DecidedDownload, HiveID: "a", Hives: make([]ops.Considered, keptSeen+2)})
	d.Failed(ops.Errorf(ops.CodeConflict, "its disk is full"))
	d.Over()
	s.Bring(Request{Job: "after", Model: "hf:o/r"})
	for job, want := range map[string]int{"before": 1, "meanwhile": 1, "another": 0, "after": 0} {
		x, err := s.Explain(job)
		if err != nil || len(x.Decisions) != want {
			t.Fatalf("%s: %+v, %v", job, x, err)
		}
		if want > 0 && (x.Decisions[0].Failed != "its disk is full" || x.Decisions[0].Omitted != 2) {
			t.Errorf("%s: %+v", job, x.Decisions[0])
		}
	}
}
