package hive

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
)

func TestLogsOfWorkersThatFailedAreKeptUpToANumber(t *testing.T) {
	h := home.Home{State: t.TempDir()}
	f := newFleet(h, "localhost", "/none", zerolog.Nop(), func() {})
	defer f.Close()
	put := func(id, log string, at time.Time) {
		t.Helper()
		folder := h.Worker(id)
		if err := os.MkdirAll(filepath.Join(folder, "slots"), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{home.WorkerLog: log, home.WorkerPID: "{}"} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(filepath.Join(folder, home.WorkerLog), at, at); err != nil {
			t.Fatal(err)
		}
	}
	fail := func(id, log string, at time.Time) {
		t.Helper()
		put(id, log, at)
		m := newMember(id, h.Worker(id), "localhost", want{model: ops.Model{ID: "m"}})
		m.failed = true
		close(m.ended)
		f.members[id] = m
	}
	now := time.Now()
	for i := range keepLogs + 3 {
		fail(fmt.Sprintf("w%02d", i), "out of luck\n", now.Add(time.Duration(i)*time.Minute))
	}
	fail("wempty", "", now)
	put("wruns", "ready\n", now.Add(-time.Hour)) // the oldest, but of a worker that there is
	f.members["wruns"] = newMember("wruns", h.Worker("wruns"), "localhost", want{model: ops.Model{ID: "other"}})
	f.dropFailed("m")
	if len(f.members) != 1 {
		t.Errorf("%d workers are in the list, want the one that runs", len(f.members))
	}
	entries, err := os.ReadDir(h.Workers())
	if err != nil || len(entries) != keepLogs+1 || entries[0].Name() != "w03" {
		t.Fatalf("there are %v, %v; want the newest %d and the one that runs", entries, err, keepLogs)
	}
	if left, err := os.ReadDir(h.Worker("w03")); err != nil || len(left) != 1 || left[0].Name() != home.WorkerLog {
		t.Errorf("of a worker that failed there is %v, %v; want its log", left, err)
	}
	if left, err := os.ReadDir(h.Worker("wruns")); err != nil || len(left) != 3 {
		t.Errorf("of the one that runs there is %v, %v", left, err)
	}
}
