package queen

import (
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

func TestAPinWithoutAHiveSaysWhereItIsOtherwise(t *testing.T) {
	q := serving(t, nil)
	q.books.hives["gpu2"] = &entry{}
	for id, pinned := range map[string]bool{"gpu1": true, "gpu2": false} {
		q.books.heard(id, ops.HiveSnapshot{Models: []ops.Model{{ID: "bee", HiveID: id, Pinned: pinned}}}, time.Now())
	}
	for _, tt := range []struct {
		o    ops.HiveOp
		on   string
		want string
	}{
		{ops.ModelPin{ID: "bee"}, ops.LocalHive, "it is pinned on localhost alone; gpu2 has it too, not pinned (add --hive gpu2)"},
		{ops.ModelUnpin{ID: "bee"}, ops.LocalHive, "it is no longer pinned on localhost; on gpu1 it still is (add --hive gpu1)"},
		{ops.ModelPin{ID: "bee"}, "gpu2", ""},
		{ops.ModelPin{ID: "ant"}, ops.LocalHive, ""},
		{ops.ModelGet{ID: "bee"}, ops.LocalHive, ""},
	} {
		sink := &noted{}
		q.tellPinned(ops.WithSink(t.Context(), sink), tt.on, tt.o)
		if said := append(sink.said, ""); said[0] != tt.want {
			t.Errorf("%+v says %q", tt.o, said)
		}
	}
}

// TestAWorkerIsFoundByItsID: it is on one hive only.
func TestAWorkerIsFoundByItsID(t *testing.T) {
	q := serving(t, nil)
	for _, tt := range []struct {
		o    ops.HiveOp
		want string
	}{
		{ops.WorkerGet{ID: "whole"}, "gpu1"},
		{ops.WorkerDelete{ID: "whole"}, "gpu1"},
		{ops.WorkerDelete{ID: "other"}, ""},
		{ops.ModelGet{ID: "whole"}, ""},
	} {
		if got := q.hiveOf(tt.o); got != tt.want {
			t.Errorf("%+v is for %q", tt.o, got)
		}
	}
}
