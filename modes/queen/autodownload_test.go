package queen

import (
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
)

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
	m, err := q.bring(t.Context(), "hf:bees/tiny", "", "")
	if err != nil || m.ID != "whole" {
		t.Errorf("%+v, %v", m, err)
	}
	long, now := time.Now().Add(-time.Hour), time.Now()
	q.books.hives["localhost"].snapshot.Models = append(q.books.hives["localhost"].snapshot.Models,
		ops.Model{ID: "usual", HiveID: "localhost", Source: "hf:bees/tiny:b-q4_k_m.gguf", AddedAt: long},
		ops.Model{ID: "big", HiveID: "localhost", Source: "hf:bees/two:b-F16.gguf", AddedAt: long}, ops.Model{ID: "last", HiveID: "localhost", Source: "hf:bees/two:b-Q8_0.gguf", AddedAt: now})
	for reference, want := range map[string]string{"hf:bees/tiny": "usual", "hf:bees/tiny:Q8_0": "whole", "hf:bees/two": "last", "hf:bees/two:F16": "big"} {
		if m, err := q.bring(t.Context(), reference, "", ""); err != nil || m.ID != want {
			t.Errorf("%s is %+v, %v", reference, m, err)
		}
	}
	q.books.hives["localhost"].snapshot.Models = append(q.books.hives["localhost"].snapshot.Models, ops.Model{
		ID: "coming", HiveID: "localhost", Source: "hf:bees/three:c-Q8_0.gguf", Error: "it is being downloaded", Hint: "`this` shows how far it is",
	})
	_, err = q.bring(t.Context(), "hf:bees/three", "", "")
	if e := ops.AsError(err); e.Code != ops.CodeNotFound || e.Message != "the model hf:bees/three is coming on localhost, which cannot be used: it is being downloaded" || e.Hint != "`this` shows how far it is" {
		t.Errorf("what is being downloaded: %v (%s)", err, e.Hint)
	}
	_, err = q.bring(t.Context(), "hf:bees/other", "", "")
	if e := ops.AsError(err); e.Code != ops.CodeNotFound || !strings.Contains(e.Hint, "`rbee model download hf:bees/other` brings it") || !strings.Contains(e.Hint, "RBEE_AUTO_DOWNLOAD") {
		t.Errorf("what is nowhere: %v (%s)", err, e.Hint)
	}
}

func TestAHiveNeedsNoDownloadOfWhatAnotherHas(t *testing.T) {
	models := func(hive string, list ...ops.Model) *entry {
		for i := range list {
			list[i].HiveID = hive
		}
		return &entry{state: ops.HiveUp, snapshot: ops.HiveSnapshot{Models: list}}
	}
	q := &Queen{books: books{hives: map[string]*entry{
		"localhost": models("localhost", ops.Model{ID: "bee-Q8_0", Source: "hf:bees/tiny:bee-Q8_0.gguf"}, ops.Model{ID: "big-Q8_0", Source: "hf:bees/big:Q8_0/big-Q8_0-00001-of-00002.gguf"}),
		"gpu1":      models("gpu1", ops.Model{ID: "mine", Source: "hf:bees/tiny:bee-Q8_0.gguf"}),
		"gpu2":      models("gpu2", ops.Model{ID: "bee-Q8_0", Source: "/home/a/bee-Q8_0.gguf"}),
		"gpu3":      models("gpu3"),
	}}}
	for _, tt := range []struct{ reference, hive, want string }{
		{"hf:bees/tiny:Q8_0", "gpu1", "mine"},
		{"hf:bees/tiny:Q8_0", "gpu3", "bee-Q8_0"},
		{"hf:bees/tiny:bee-Q8_0.gguf", "gpu3", "bee-Q8_0"},
		{"hf:bees/tiny", "gpu3", "bee-Q8_0"},
		{"hf:bees/big:Q8_0", "", "big-Q8_0"},
		{"hf:bees/big:Q8_0", "gpu2", "big-Q8_0"},
	} {
		if m, err := q.bring(t.Context(), tt.reference, tt.hive, ""); err != nil || m.ID != tt.want {
			t.Errorf("%s on %q is %+v, %v", tt.reference, tt.hive, m, err)
		}
	}
	_, err := q.bring(t.Context(), "hf:bees/tiny:Q8_0", "gpu2", "")
	if e := ops.AsError(err); e.Code != ops.CodeConflict || !strings.Contains(e.Hint, "--hive gpu2 hf:bees/tiny:Q8_0 --name") {
		t.Errorf("where another model is called so: %v (%s)", err, e.Hint)
	}
}
