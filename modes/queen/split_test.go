package queen

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// TestAPartThatDoesNotFitIsRefusedBeforeAnyBegins: each further hive is asked for room
// for its own share, and started is nothing.
func TestAPartThatDoesNotFitIsRefusedBeforeAnyBegins(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]uint64{}
	do := func(_ context.Context, o ops.HiveOp) (any, error) {
		mu.Lock()
		defer mu.Unlock()
		w, ok := o.(ops.WorkerSpawn)
		if !ok || !w.RoomOnly || w.PartOf != "gpu0/w" || w.Engine != ops.EngineRPC {
			t.Errorf("it is asked for %+v", o)
		}
		if asked[w.HiveID] = w.PartBytes; w.HiveID == "gpu2" {
			return nil, ops.Errorf(ops.CodeUnavailable, "the part of the model that hive gpu2 is to hold takes too much")
		}
		return ops.Worker{PartBytes: w.PartBytes}, nil
	}
	q := serving(t, do)
	jobs, err := job.NewServer(job.Options[ops.HiveOp]{Mode: "hive", Dir: t.TempDir(), Log: zerolog.Nop(), Run: do})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(jobs)
	q.hives.add(t.Context(), "gpu2", served{transport.New(transport.Options{Name: "hive gpu2", BaseURL: s.URL})}, func(ctx context.Context) { <-ctx.Done() })
	parts := partsFor(split{hive: "gpu0", id: "w"}, []string{"gpu1", "gpu2"}, []uint64{3, 5})
	err = q.roomForParts(t.Context(), parts, true)
	if ops.CodeOf(err) != ops.CodeUnavailable || !strings.Contains(err.Error(), "hive gpu2 is to hold takes too much") {
		t.Errorf("it ends with %v", err)
	}
	if asked["gpu1"] != 3 || asked["gpu2"] != 5 {
		t.Errorf("they were asked for %v", asked)
	}
	if err := q.roomForParts(t.Context(), parts[:1], true); err != nil {
		t.Error(err)
	}
	t.Cleanup(func() {
		if err := jobs.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		s.Close()
	})
}
