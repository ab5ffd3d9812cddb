package queen

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

func TestHivesLoseADownloadForAReason(t *testing.T) {
	s := schedule.New(schedule.Options{})
	q := &Queen{schedule: s, books: books{schedule: s, hives: map[string]*entry{}}}
	for id, gib := range map[string]uint64{"localhost": 8, "big": 24, "twin": 24, "drained": 48, "down": 48, "full": 48} {
		q.books.hives[id] = &entry{}
		q.books.heard(id, ops.HiveSnapshot{Hive: ops.Hive{Devices: []ops.Device{{ID: "cuda:0", Kind: "cuda", MemoryBytes: gib << 30}}}}, time.Now())
	}
	s.DrainHive("drained", true)
	q.books.hives["down"].state = ops.HiveDown
	full := map[string]ops.Considered{"full": {Reason: "disk", Why: "its disk has no room for the model"}}
	want := []string{
		"big true : its largest accelerator has 24 GiB", "twin false : its largest accelerator has 24 GiB, as much; the chosen one comes first by place and name",
		"localhost false room: its largest accelerator has 8.0 GiB; the chosen one has more", "down false down: the hive does not answer",
		"drained false drained: the hive is drained", "full false disk: its disk has no room for the model",
	}
	if got := inWords(q.landings("", full)); !slices.Equal(got, want) {
		t.Errorf("considered are %q\nwant %q", got, want)
	}
	q.books.hives["localhost"].state = ops.HiveDown
	if got := inWords(q.landings("localhost", nil)); got[0] != "localhost true : it is down, and is started for this; its largest accelerator has 8.0 GiB" {
		t.Errorf("where the queen's own is asleep: %q", got)
	}
	if got := inWords(q.landings("twin", nil)); got[0] != "twin true : its largest accelerator has 24 GiB" || !strings.Contains(got[1], "elsewhere: the request asks for the hive twin") {
		t.Errorf("where one is named: %q", got)
	}
}

func TestAHiveHasDevicesWhereItHasAllOfThem(t *testing.T) {
	s := ops.HiveSnapshot{Hive: ops.Hive{Devices: []ops.Device{{ID: "cpu"}, {ID: "cuda:0"}, {ID: "cuda:1"}}}}
	for ids, want := range map[string]bool{"cpu": true, "cuda:0": true, "cuda:0,cuda:1": true, "cuda:2": false, "cuda:1,cuda:2": false, "metal": false} {
		if got := hasDevices(s, ids); got != want {
			t.Errorf("%s: %t", ids, got)
		}
	}
	if got := deviceIDs(s); got != "cpu, cuda:0, cuda:1" {
		t.Errorf("it has %s", got)
	}
}

func inWords(list []ops.Considered) (lines []string) {
	for _, c := range list {
		lines = append(lines, c.HiveID+" "+map[bool]string{true: "true", false: "false"}[c.Chosen]+" "+c.Reason+": "+c.Why)
	}
	return lines
}

// TestAModelIsBroughtToTheNextHiveWhereOneHasNoRoom: and that is explained, also
// where no hive can take it.
func TestAModelIsBroughtToTheNextHiveWhereOneHasNoRoom(t *testing.T) {
	for name, tt := range map[string]struct {
		full    string // hives whose disks are
		drained bool
		lands   string
		want    []string // what is decided
		err     string
	}{
		"the first has no room": {full: "gpu1", lands: "gpu2", want: []string{"download gpu1 there is no room for the model m", "download gpu2 "}},
		"none has":              {full: "gpu1 gpu2", want: []string{"download gpu1 there is no room for the model m", "download gpu2 there is no room for the model m"}, err: "no room"},
		"all are drained":       {drained: true, want: []string{"refused  "}, err: "no hive can take the model"},
	} {
		t.Run(name, func(t *testing.T) {
			do := func(_ context.Context, o ops.HiveOp) (any, error) {
				d := o.(ops.ModelDownload)
				if strings.Contains(tt.full, d.HiveID) {
					return nil, ops.Errorf(ops.CodeConflict, "there is no room for the model m")
				}
				return ops.Model{ID: "m", HiveID: d.HiveID}, nil
			}
			q := serving(t, do)
			q.AutoDownload = true
			q.also(t, "gpu2", do)
			for _, id := range []string{"gpu1", "gpu2"} {
				q.schedule.DrainHive(id, tt.drained)
			}
			q.schedule.Bring(schedule.Request{Job: "it", Model: "hf:o/r"})
			m, err := q.bring(t.Context(), "hf:o/r", "", "")
			if m.HiveID != tt.lands || err == nil != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("it is %+v, %v", m, err)
			}
			x, err := q.schedule.Explain("it")
			var got []string
			for _, d := range x.Decisions {
				got = append(got, string(d.Outcome)+" "+d.HiveID+" "+d.Failed)
			}
			if err != nil || !slices.Equal(got, tt.want) || len(x.Decisions[0].Hives) != 2 {
				t.Errorf("it is explained by %+v, %v", x, err)
			}
		})
	}
}

// also gives the queen another hive, that is up.
func (q *Queen) also(t *testing.T, id string, do func(context.Context, ops.HiveOp) (any, error)) {
	t.Helper()
	jobs, err := job.NewServer(job.Options[ops.HiveOp]{Mode: "hive", Dir: t.TempDir(), Log: zerolog.Nop(), Run: do})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(jobs)
	q.books.hives[id] = &entry{}
	q.books.heard(id, ops.HiveSnapshot{}, time.Now())
	q.hives.add(t.Context(), id, served{transport.New(transport.Options{Name: "hive " + id, BaseURL: s.URL})}, func(ctx context.Context) { <-ctx.Done() })
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		if err := jobs.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
}
