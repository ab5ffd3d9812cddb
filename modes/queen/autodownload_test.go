package queen

import (
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
)

func TestAReferenceMeansTheModelThatCameFromThere(t *testing.T) {
	split := ops.Model{Source: "hf:bees/tiny:Tiny-Q4_K_M.gguf"}
	for _, tt := range []struct {
		m         ops.Model
		reference string
		want      bool
	}{
		{split, "hf:bees/tiny", true},
		{split, "hf:bees/tiny:q4_k_m", true},
		{split, "hf:bees/tiny:Tiny-Q4_K_M.gguf", true},
		{split, "hf:bees/tiny:Tiny-Q4_K_M", true},
		{split, "hf:bees/tiny:K_M", false},
		{split, "hf:bees/tiny:Q8_0", false},
		{split, "hf:bees/tin", false},
		{ops.Model{Source: ops.BuiltInSource}, "hf:bees/tiny", false},
		{ops.Model{Source: "/home/a/tiny.gguf"}, "hf:bees/tiny", false},
	} {
		if got := isFrom(tt.m, tt.reference); got != tt.want {
			t.Errorf("isFrom(%s, %s) = %t", tt.m.Source, tt.reference, got)
		}
	}
}

func TestAModelIsBroughtToTheRoomiestHive(t *testing.T) {
	device := func(kind string, gib uint64) ops.Device { return ops.Device{Kind: kind, MemoryBytes: gib << 30} }
	for _, tt := range []struct {
		name  string
		hives map[string][]ops.Device
		down  string
		want  string
	}{
		{"the only one", map[string][]ops.Device{"localhost": nil}, "", "localhost"},
		{"the biggest accelerator", map[string][]ops.Device{"localhost": {device("cpu", 512)}, "a": {device("cuda", 8)}, "b": {device("cuda", 24), device("cuda", 24)}}, "", "b"},
		{"not one that is down", map[string][]ops.Device{"localhost": {device("cpu", 8)}, "b": {device("cuda", 24)}}, "b", "localhost"},
		{"else the most memory", map[string][]ops.Device{"localhost": {device("cpu", 8)}, "b": {device("cpu", 64)}}, "", "b"},
		{"else its own machine", map[string][]ops.Device{"localhost": {device("cpu", 8)}, "a": {device("cpu", 8)}}, "", "localhost"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := &Queen{books: books{hives: map[string]*entry{}}, schedule: schedule.New(schedule.Options{})}
			for id, devices := range tt.hives {
				q.books.hives[id] = &entry{snapshot: ops.HiveSnapshot{Hive: ops.Hive{Devices: devices}}, state: ops.HiveUp}
			}
			if tt.down != "" {
				q.books.hives[tt.down].state = ops.HiveDown
			}
			if got := q.landings("", nil); !got[0].Chosen || got[0].HiveID != tt.want {
				t.Errorf("it is brought to %+v, want %s", got, tt.want)
			}
		})
	}
}

func TestWhatIsThereNeedsNoDownload(t *testing.T) {
	q := &Queen{books: books{hives: map[string]*entry{"localhost": {state: ops.HiveUp, snapshot: ops.HiveSnapshot{Models: []ops.Model{
		{ID: "broken", Source: "hf:bees/tiny:a-Q8_0.gguf", Error: "cut off"}, {ID: "whole", HiveID: "localhost", Source: "hf:bees/tiny:b-Q8_0.gguf"},
	}}}}}}
	m, err := q.bring(t.Context(), "hf:bees/tiny", "")
	if err != nil || m.ID != "whole" {
		t.Errorf("%+v, %v", m, err)
	}
	long, now := time.Now().Add(-time.Hour), time.Now()
	q.books.hives["localhost"].snapshot.Models = append(q.books.hives["localhost"].snapshot.Models,
		ops.Model{ID: "usual", HiveID: "localhost", Source: "hf:bees/tiny:b-q4_k_m.gguf", AddedAt: long},
		ops.Model{ID: "big", HiveID: "localhost", Source: "hf:bees/two:b-F16.gguf", AddedAt: long}, ops.Model{ID: "last", HiveID: "localhost", Source: "hf:bees/two:b-Q8_0.gguf", AddedAt: now})
	for reference, want := range map[string]string{"hf:bees/tiny": "usual", "hf:bees/tiny:Q8_0": "whole", "hf:bees/two": "last", "hf:bees/two:F16": "big"} {
		if m, err := q.bring(t.Context(), reference, ""); err != nil || m.ID != want {
			t.Errorf("%s is %+v, %v", reference, m, err)
		}
	}
	for _, hive := range []string{"gpu1", "localhost"} { // on another, or another one
		reference := map[string]string{"gpu1": "hf:bees/tiny", "localhost": "hf:bees/other"}[hive]
		_, err := q.bring(t.Context(), reference, hive)
		if e := ops.AsError(err); e.Code != ops.CodeNotFound || !strings.Contains(e.Hint, "RBEE_AUTO_DOWNLOAD") {
			t.Errorf("%s on %s: %v", reference, hive, err)
		}
	}
}
