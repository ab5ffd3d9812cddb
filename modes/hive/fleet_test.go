package hive

import (
	"context"
	"os/exec"
	"testing"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
)

// TestAWorkerWhoseEndIsBegunIsEndedThoughNobodyWaitsForItAnyMore: it is no failed one
// then, that stays in the list.
func TestAWorkerWhoseEndIsBegunIsEndedThoughNobodyWaitsForItAnyMore(t *testing.T) {
	f := newFleet(home.Home{State: t.TempDir()}, "localhost", "", zerolog.Nop(), func() {})
	defer f.Close()
	process := exec.Command("sleep", "100") //nolint:noctx // it is ended below
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	m := newMember("w1", f.home.Worker("w1"), "localhost", want{model: ops.Model{ID: "bee"}})
	m.process = daemon.ProcessOf(process.Process.Pid)
	close(m.begun)
	f.members[m.id] = m
	f.owners.Go(func() {
		_ = process.Wait() // it is killed
		m.finish(nil)
		m.client.Close()
	})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if !m.retire(gone) {
		t.Error("it is kept")
	}
	if err := f.remove(gone, m); err != nil {
		t.Errorf("its end is %v", err)
	}
	if list := f.list(); len(list) != 0 {
		t.Errorf("left are %+v", list)
	}
}
