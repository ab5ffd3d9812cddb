package queen

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

// TestAHiveThatLacksWhatAWorkerNeedsIsPassedOver: the engine that was asked for may
// be on another one.
func TestAHiveThatLacksWhatAWorkerNeedsIsPassedOver(t *testing.T) {
	lacks := func(code ops.Code, field, text string) error {
		e := ops.Errorf(code, "%s", text)
		e.Field = field
		return e
	}
	for name, tt := range map[string]struct {
		errs map[string]error // by hive
		want []string         // the hives that are asked
		err  string
	}{
		"both have it":         {want: []string{"gpu1"}},
		"one has no engine":    {errs: map[string]error{"gpu1": lacks(ops.CodeNotFound, "worker", "no llama-server on gpu1")}, want: []string{"gpu1", "gpu2"}},
		"one cannot use it":    {errs: map[string]error{"gpu1": lacks(ops.CodeUnsupported, "device", "not that card on gpu1")}, want: []string{"gpu1", "gpu2"}},
		"none has":             {errs: map[string]error{"gpu1": lacks(ops.CodeNotFound, "worker", "none on gpu1"), "gpu2": lacks(ops.CodeNotFound, "worker", "none on gpu2")}, want: []string{"gpu1", "gpu2"}, err: "none on gpu2"},
		"it fails by itself":   {errs: map[string]error{"gpu1": lacks(ops.CodeInternal, "", "boom")}, want: []string{"gpu1"}, err: "boom"},
		"the request is wrong": {errs: map[string]error{"gpu1": lacks(ops.CodeInvalid, "device", "no such words")}, want: []string{"gpu1"}, err: "no such words"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			do := func(_ context.Context, o ops.HiveOp) (any, error) {
				asked = append(asked, o.Hive())
				if err := tt.errs[o.Hive()]; err != nil {
					return nil, err
				}
				return ops.Worker{ID: "w", HiveID: o.Hive(), Model: "bee"}, nil
			}
			q := serving(t, do)
			q.addServed(t, "gpu2", do)
			q.books.hives["gpu2"], q.books.hives[ops.LocalHive] = &entry{}, &entry{}
			q.books.heard(ops.LocalHive, ops.HiveSnapshot{}, time.Now())
			q.schedule.DrainHive(ops.LocalHive, true)
			for _, id := range []string{"gpu1", "gpu2"} {
				q.books.heard(id, ops.HiveSnapshot{Models: []ops.Model{{ID: "bee", HiveID: id, AddedAt: time.Now()}}}, time.Now())
			}
			sink := &noted{}
			_, err := q.spawn(ops.WithSink(t.Context(), sink), ops.WorkerSpawn{Model: "bee", Engine: "llamacpp"})
			if !slices.Equal(asked, tt.want) || tt.err == "" && err != nil || tt.err != "" && (err == nil || ops.AsError(err).Message != tt.err) {
				t.Errorf("%q are asked, and it ends with %v", asked, err)
			}
			if told := strings.Contains(strings.Join(sink.said, "\n"), "the hive gpu2 is asked in its place"); told != (len(tt.want) == 2) {
				t.Errorf("it says %q", sink.said)
			}
			if x, err := q.schedule.Explain(sink.JobID()); err != nil || x.Error != tt.err || len(x.Decisions) < len(tt.want) {
				t.Errorf("explained as %+v, %v", x, err)
			}
		})
	}
}

// TestAHiveThatIsAskedInPlaceOfAnotherGetsTheModel: it has the device that was asked
// for, and not the model.
func TestAHiveThatIsAskedInPlaceOfAnotherGetsTheModel(t *testing.T) {
	var asked []string
	do := func(_ context.Context, o ops.HiveOp) (any, error) {
		switch o := o.(type) {
		case ops.ModelDownload:
			asked = append(asked, o.Hive()+" gets "+o.Model)
			return ops.Model{ID: "bee", HiveID: o.Hive()}, nil
		case ops.WorkerSpawn:
			if o.WouldFit {
				return ops.Worker{}, nil
			}
			asked = append(asked, o.Hive()+" runs "+o.Model)
			if o.Hive() == "gpu1" {
				return nil, &ops.Error{Code: ops.CodeNotFound, Message: "no such device", Field: "device"}
			}
		}
		return ops.Worker{ID: "w", HiveID: o.Hive(), Model: "bee"}, nil
	}
	q := serving(t, do)
	q.addServed(t, "gpu2", do)
	q.books.hives["gpu2"], q.books.hives[ops.LocalHive] = &entry{}, &entry{}
	q.books.heard(ops.LocalHive, ops.HiveSnapshot{}, time.Now())
	q.schedule.DrainHive(ops.LocalHive, true)
	q.books.heard("gpu1", ops.HiveSnapshot{Models: []ops.Model{{ID: "bee", HiveID: "gpu1", AddedAt: time.Now()}}}, time.Now())
	q.books.heard("gpu2", ops.HiveSnapshot{}, time.Now())
	_, err := q.spawn(ops.WithSink(t.Context(), &noted{}), ops.WorkerSpawn{Model: "bee", Device: "cuda:0"})
	if want := []string{"gpu1 runs bee", "gpu2 gets hive:gpu1/bee", "gpu2 runs bee"}; err != nil || !slices.Equal(asked, want) {
		t.Errorf("it goes %q, %v", asked, err)
	}
}

// TestAWorkerWithoutAModelSaysWhichItTakes, and why, as an answer does.
func TestAWorkerWithoutAModelSaysWhichItTakes(t *testing.T) {
	q := serving(t, func(_ context.Context, o ops.HiveOp) (any, error) {
		return ops.Worker{ID: "w", HiveID: o.Hive(), Model: o.(ops.WorkerSpawn).Model}, nil
	})
	q.books.hives[ops.LocalHive] = &entry{}
	q.books.heard(ops.LocalHive, ops.HiveSnapshot{}, time.Now())
	now := time.Now()
	q.books.heard("gpu1", ops.HiveSnapshot{Models: []ops.Model{{ID: "older", HiveID: "gpu1", AddedAt: now.Add(-time.Hour)}, {ID: "newer", HiveID: "gpu1", AddedAt: now}}}, now)
	for model, told := range map[string]int{"": 1, "newer": 0} {
		sink := &noted{}
		if _, err := q.spawn(ops.WithSink(t.Context(), sink), ops.WorkerSpawn{Model: model}); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(strings.Join(sink.said, "\n"), "no model was named: taking newer, the one added last"); n != told {
			t.Errorf("for %q it says %q", model, sink.said)
		}
	}
}
