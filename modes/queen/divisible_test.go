package queen

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// roomyHive is a hive that holds so many bytes of a model, and says so when it is asked.
type roomyHive struct {
	free    uint64
	version string // of its llama.cpp; "" is none
	noParts bool   // it has no rpc-server
	model   bool   // the model is on its disk
}

// do answers as a hive does, and starts nothing.
func (h roomyHive) do(t *testing.T) func(context.Context, ops.HiveOp) (any, error) {
	return func(_ context.Context, o ops.HiveOp) (any, error) {
		if o, ok := o.(ops.EngineList); ok {
			return ops.Engines{Engines: []ops.Engine{{HiveID: o.HiveID, Name: "llamacpp", Used: true, Version: h.version}}}, nil
		}
		w, ok := o.(ops.WorkerSpawn)
		if !ok || !w.WouldFit {
			t.Errorf("it is asked for %+v", o)
		}
		const all = 100 << 30
		holds := w.PartBytes
		if w.PartOf == "" {
			if holds = uint64(all * w.Share); h.model == (w.Coming != nil) {
				t.Errorf("hive %s is told of the model %+v", w.HiveID, w.Coming)
			}
		}
		switch {
		case h.version == "" || w.PartOf != "" && h.noParts:
			return nil, ops.Errorf(ops.CodeNotFound, "it has not got the program")
		case holds > h.free:
			return nil, ops.Errorf(ops.CodeUnavailable, "it takes more than what is free")
		}
		return ops.Worker{PartBytes: all}, nil
	}
}

// addRoomy adds a hive that is up.
func (q *Queen) addRoomy(t *testing.T, id string, r roomyHive) {
	t.Helper()
	snapshot := ops.HiveSnapshot{Hive: ops.Hive{ID: id, Devices: []ops.Device{{Kind: "cpu", MemoryBytes: r.free, MemoryFreeBytes: r.free}}}}
	if r.model {
		snapshot.Models = []ops.Model{{ID: "big", HiveID: id, Size: 90 << 30, AddedAt: time.Now()}}
	}
	jobs, err := job.NewServer(job.Options[ops.HiveOp]{Mode: "hive", Dir: t.TempDir(), Log: zerolog.Nop(), Run: r.do(t)})
	if err != nil {
		t.Fatal(err)
	}
	jobs.Mount(http.MethodPost, "/v1/probe", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(snapshot); err != nil {
			t.Error(err)
		}
	}))
	s := httptest.NewServer(jobs)
	h := served{transport.New(transport.Options{Name: "hive " + id, BaseURL: s.URL})}
	q.hives.add(t.Context(), id, h, func(ctx context.Context) { <-ctx.Done() })
	t.Cleanup(func() {
		h.Close()
		if err := jobs.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		s.Close()
	})
	q.books.hives[id] = &entry{}
	q.books.heard(id, snapshot, time.Now())
}

// TestAModelThatIsTooBigForOneHiveIsSaidToFitOverSeveral, only where they all say so.
func TestAModelThatIsTooBigForOneHiveIsSaidToFitOverSeveral(t *testing.T) {
	const (
		gib     = 1 << 30
		refused = "big takes about 100 GiB, and of the 64 GiB that hive a has, 60 GiB are free for it"
		take    = "take a smaller model"
	)
	a := roomyHive{free: 60 * gib, version: "b7000", model: true}
	b := roomyHive{free: 50 * gib, version: "b7000"}
	for name, tt := range map[string]struct {
		hives   map[string]roomyHive
		refused string
		spawn   ops.WorkerSpawn
		want    string
	}{
		"over two":                {hives: map[string]roomyHive{"a": a, "b": b}, want: "divided over a and b it fits: `rbee worker spawn big --hives a,b`"},
		"with what was asked for": {hives: map[string]roomyHive{"a": a, "b": b}, spawn: ops.WorkerSpawn{Engine: "llamacpp", Device: "cpu", Context: 8192, Flags: []string{"a=b c"}}, want: "`rbee worker spawn big --device cpu --context-length 8192 --flag 'a=b c' --hives a,b`"},
		"over the roomier":        {hives: map[string]roomyHive{"a": a, "b": b, "c": {free: 55 * gib, version: "b7000"}}, want: "over a and c it fits: `rbee worker spawn big --hives a,c`"},
		"over three":              {hives: map[string]roomyHive{"a": {free: 40 * gib, version: "b7000", model: true}, "b": {free: 36 * gib, version: "b7000"}, "c": {free: 35 * gib, version: "b7000"}}, want: "over a, b and c it fits: `rbee worker spawn big --hives a,b,c`"},
		"but for the first one":   {hives: map[string]roomyHive{"a": {free: 60 * gib, model: true}, "b": b, "c": {free: 55 * gib, version: "b7000"}}, want: "over c and b it fits: `rbee worker spawn big --hives c,b`"},
		"nobody else":             {hives: map[string]roomyHive{"a": a}},
		"not even together":       {hives: map[string]roomyHive{"a": a, "b": {free: 30 * gib, version: "b7000"}}},
		"with nothing to spare":   {hives: map[string]roomyHive{"a": a, "b": {free: 40*gib + gib/2, version: "b7000"}}},
		"no rpc-server":           {hives: map[string]roomyHive{"a": a, "b": {free: 50 * gib, version: "b7000", noParts: true}}},
		"no llama-server":         {hives: map[string]roomyHive{"a": {free: 60 * gib, model: true}, "b": b}},
		"other versions":          {hives: map[string]roomyHive{"a": a, "b": {free: 50 * gib, version: "b6000"}}},
		"refused for another":     {hives: map[string]roomyHive{"a": a, "b": b}, refused: "big: llama-server cannot load it"},
		"a divided one":           {hives: map[string]roomyHive{"a": a, "b": b}, spawn: ops.WorkerSpawn{Split: ops.Split{Hives: []string{"a", "b"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			q := serving(t, nil)
			q.books.hives = map[string]*entry{}
			for id, h := range tt.hives {
				q.addRoomy(t, id, h)
			}
			refusal := ops.Errorf(ops.CodeUnavailable, "%s", refused).WithHint(take).WithLack(ops.LacksMemory)
			if tt.refused != "" {
				refusal = ops.Errorf(ops.CodeUnavailable, "%s", tt.refused).WithHint(take)
			}
			tt.spawn.Model = "big"
			sink := &noted{}
			err := q.orDivided(ops.WithSink(t.Context(), sink), "a", tt.spawn, refusal)
			e := ops.AsError(err)
			if tt.want == "" && e.Hint != take || tt.want != "" && (!strings.HasPrefix(e.Hint, take+"; ") || !strings.HasSuffix(e.Hint, tt.want)) {
				t.Errorf("the hint is %q, want %q", e.Hint, tt.want)
			}
			if e.Message != refusal.Message || len(sink.said) > 0 {
				t.Errorf("it says %q, %q", e.Message, sink.said)
			}
		})
	}
}
