package queen

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
)

func TestWhatIsMissingIsLackingAfterAWhileAndWithoutAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSplits()
		if s.lacks("a part", true, missingFor) {
			t.Error("it lacks at once")
		}
		time.Sleep(missingFor - time.Millisecond)
		if s.lacks("a part", false, missingFor) || s.lacks("a part", true, missingFor) {
			t.Error("it was there meanwhile")
		}
		time.Sleep(missingFor)
		if !s.lacks("a part", true, missingFor) {
			t.Error("it is missing for long enough")
		}
	})
}

func TestAPartWithoutItsWorkerIsEnded(t *testing.T) {
	whole := ops.HiveSnapshot{Workers: []ops.Worker{{ID: "w", HiveID: "gpu1", State: ops.WorkerReady, Parts: []string{"gpu2"}}}}
	part := ops.Worker{ID: "p", HiveID: "gpu2", PartOf: "gpu1/w", State: ops.WorkerReady}
	for name, tt := range map[string]struct {
		then  func(*Queen)
		after time.Duration // 0 is never
	}{
		"which is there":  {then: func(*Queen) {}},
		"which has ended": {func(q *Queen) { q.books.heard("gpu1", ops.HiveSnapshot{}, time.Now()) }, missingFor},
		"which is being started": {then: func(q *Queen) {
			q.books.heard("gpu1", ops.HiveSnapshot{}, time.Now())
			q.splits.begin(split{"gpu1", "w"})
		}},
		"whose hive was removed":     {func(q *Queen) { q.books.remove("gpu1") }, missingFor},
		"whose hive does not answer": {func(q *Queen) { q.books.lost("gpu1", "no route to host") }, leaveAfter},
		"whose hive was away for a short time": {then: func(q *Queen) {
			q.books.lost("gpu1", "no route to host")
			time.Sleep(leaveAfter - time.Minute)
			q.endOrphan(t.Context(), part, &sync.WaitGroup{})
			q.books.heard("gpu1", whole, time.Now())
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := &Queen{splits: newSplits()}
				q.Log = zerolog.Nop()
				q.books.schedule = schedule.New(schedule.Options{})
				defer q.books.schedule.Close()
				q.books.hives = map[string]*entry{"gpu1": {}, "gpu2": {}}
				q.books.heard("gpu1", whole, time.Now())
				tt.then(q)
				ended := time.Duration(0)
				for began := time.Now(); ended == 0 && time.Since(began) < 2*leaveAfter; time.Sleep(lookAgain) {
					var ending sync.WaitGroup
					q.endOrphan(t.Context(), part, &ending)
					ending.Wait() // nobody is reached
					if len(q.splits.tries) > 0 {
						ended = max(1, time.Since(began))
					}
				}
				if ended.Round(time.Second) != tt.after {
					t.Errorf("it is ended after %s, want %s", ended, tt.after)
				}
			})
		})
	}
}

func TestAPartThatIsStartedAnewTakesTheRoomOfTheOneBefore(t *testing.T) {
	q := &Queen{splits: newSplits()}
	q.books.schedule = schedule.New(schedule.Options{})
	defer q.books.schedule.Close()
	q.books.hives = map[string]*entry{"gpu1": {}, "gpu2": {}}
	whole := split{"gpu1", "w"}
	q.books.heard("gpu1", ops.HiveSnapshot{Workers: []ops.Worker{{ID: "w", HiveID: "gpu1", State: ops.WorkerReady, Parts: []string{"gpu2"}}}}, time.Now())
	q.books.heard("gpu2", ops.HiveSnapshot{Workers: []ops.Worker{{ID: "p", HiveID: "gpu2", PartOf: "gpu1/w", PartBytes: 7 << 30, State: ops.WorkerReady}}}, time.Now())
	holds := func(when string, want uint64) {
		t.Helper()
		q.noteSizes()
		if part := q.partAnew(whole, "gpu2"); part.PartBytes != want || part.PartOf != "gpu1/w" || part.HiveID != "gpu2" || part.Validate() != nil {
			t.Errorf("%s: %+v", when, part)
		}
	}
	holds("while it is there", 7<<30)
	q.books.heard("gpu2", ops.HiveSnapshot{}, time.Now())
	holds("when it is gone", 7<<30)
	q.books.lost("gpu1", "no route to host")
	holds("when the worker's hive is away", 7<<30)
	q.books.heard("gpu1", ops.HiveSnapshot{}, time.Now())
	holds("when the worker has ended", 0)
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

func TestPartsAreAsLargeAsWhatIsFree(t *testing.T) {
	for name, tt := range map[string]struct {
		share float64
		frees []uint64
		want  []uint64
	}{
		"two alike":         {0.5, []uint64{10, 10}, []uint64{500, 500}},
		"two of three":      {0.4, []uint64{40, 10, 30}, []uint64{400, 150, 450}},
		"nobody tells":      {0, []uint64{0, 0}, []uint64{0, 0}},
		"a share of a user": {0.9, []uint64{10, 90}, []uint64{900, 99}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := partSizes(1000, tt.share, tt.frees); !slices.Equal(got, tt.want) {
				t.Errorf("they are %d, want %d", got, tt.want)
			}
		})
	}
}

func TestIdleWorkersCountAsMemoryThatCanBeFree(t *testing.T) {
	s := ops.HiveSnapshot{
		Models: []ops.Model{{ID: "bee", Size: 10, Memory: 12}, {ID: "ant", Size: 5}, {ID: "pinned", Size: 7, Pinned: true}},
		Workers: []ops.Worker{
			{Model: "bee", State: ops.WorkerReady},
			{Model: "ant", State: ops.WorkerReady},
			{Model: "pinned", State: ops.WorkerReady},
			{Model: "bee", State: ops.WorkerReady, Running: 1},
			{Model: "bee", State: ops.WorkerLoading},
			{Model: "bee", State: ops.WorkerFailed},
			{State: ops.WorkerReady, PartOf: "gpu1/w"},
		},
	}
	if got := idleMemory(s); got != 17 {
		t.Errorf("%d bytes, want 17", got)
	}
}
