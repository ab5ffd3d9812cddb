package queen

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/ops"
)

func TestExplanationsOutliveTheQueenAndAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queen.db")
	s, err := openStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	at := time.UnixMilli(1_795_655_000_000).UTC()
	var list []ops.Explanation
	for i := range keptExplanations + 3 {
		list = append(list, ops.Explanation{
			JobID: fmt.Sprint("job", i), Model: "bee", Alias: "fast", Client: "k1", At: at.Add(time.Duration(i) * time.Second), Ended: ops.EndedDone, TookMS: 1.5,
			Decisions: []ops.Decision{{At: at, Outcome: ops.DecidedWorker, HiveID: "gpu1", WorkerID: "w", Workers: []ops.Considered{{HiveID: "gpu1", WorkerID: "w", Chosen: true}}, Hives: []ops.Considered{}}},
		})
	}
	waits := list[4]
	waits.Ended, waits.Waits = "", true
	for _, some := range [][]ops.Explanation{nil, {waits}, list[:10], list[10:]} { // what is told again replaces what was
		if err := s.SaveExplanations(t.Context(), some); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = openStore(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i, want := range list {
		got, ok, err := s.Explanation(t.Context(), want.JobID)
		if err != nil || ok != (i >= 3) {
			t.Fatalf("%s: %t, %v", want.JobID, ok, err)
		}
		if diff := cmp.Diff(want, got); ok && diff != "" {
			t.Error(diff)
		}
	}
}
