package queen

import (
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
)

func TestWhatIsMissingIsLackingAfterAWhileAndWithoutAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSplits()
		if s.lacks("a part", true) {
			t.Error("it lacks at once")
		}
		time.Sleep(missingFor - time.Millisecond)
		if s.lacks("a part", false) || s.lacks("a part", true) {
			t.Error("it was there meanwhile")
		}
		time.Sleep(missingFor)
		if !s.lacks("a part", true) {
			t.Error("it is missing for long enough")
		}
	})
}

func TestAPartIsStartedAnewLessAndLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSplits()
		began := time.Now()
		var at []time.Duration
		for len(at) < 8 {
			if s.due("a part") {
				at = append(at, time.Since(began))
			}
			time.Sleep(100 * time.Millisecond)
		}
		for i, want := range []time.Duration{0, 2, 6, 14, 30, 60, 90, 120} {
			if off := at[i] - want*time.Second; off < 0 || off > time.Second {
				t.Errorf("try %d after %s, want about %ds", i+1, at[i], want)
			}
		}
	})
}

func TestAWorkerThatIsBeingStartedIsCounted(t *testing.T) {
	s := newSplits()
	whole := split{hive: "gpu1", id: "w1"}
	s.begin(whole)
	s.begin(whole)
	s.begun(whole)
	if !s.isStarting(whole) || s.isStarting(split{hive: "gpu2", id: "w1"}) {
		t.Error("one of two has begun")
	}
	if s.begun(whole); s.isStarting(whole) {
		t.Error("both have begun")
	}
	if whole.String() != "gpu1/w1" {
		t.Errorf("it is called %s", whole)
	}
}

func TestWeightsGoWhereMemoryIsFree(t *testing.T) {
	cpu, gpu := ops.Device{Kind: "cpu", MemoryFreeBytes: 8}, ops.Device{Kind: "cuda", MemoryFreeBytes: 24}
	for _, c := range []struct {
		name    string
		devices []ops.Device
		want    uint64
	}{
		{"a CPU alone", []ops.Device{cpu}, 8},
		{"two GPUs", []ops.Device{cpu, gpu, gpu}, 48},
		{"a GPU that shares the memory", []ops.Device{cpu, {Kind: "metal"}}, 8},
		{"nothing known", nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := freeMemory(c.devices); got != c.want {
				t.Errorf("%d bytes are free, want %d", got, c.want)
			}
		})
	}
}

func TestAPartHasAJobOfItsOwn(t *testing.T) {
	a, b := partJob("J", "gpu1"), partJob("J", "gpu2")
	if a == b || a == partJob("K", "gpu1") || a != partJob("J", "gpu1") || ops.CheckJobID(a) != nil {
		t.Errorf("the jobs are %s and %s", a, b)
	}
}
