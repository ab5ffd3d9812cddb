package hive

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/ops"
)

func TestAPulseIsStillWhileItsSignDoesNotChange(t *testing.T) {
	began := time.Now()
	p := pulse{since: began}
	for _, at := range []struct {
		after time.Duration
		sign  string
		still time.Duration
	}{
		{1 * time.Second, "a", 0},
		{5 * time.Second, "a", 4 * time.Second},
		{9 * time.Second, "b", 0},
		{12 * time.Second, "b", 3 * time.Second},
		{13 * time.Second, "a", 0},
	} {
		if got := p.still(at.sign, began.Add(at.after)); got != at.still {
			t.Errorf("after %s by %q it has been still for %s, want %s", at.after, at.sign, got, at.still)
		}
	}
}

// TestAWorkerThatGivesNoSignOfLifeBeforeItListensHangs: who waits for it is told, it gets
// no jobs, and can be ended. It is a program that sleeps.
func TestAWorkerThatGivesNoSignOfLifeBeforeItListensHangs(t *testing.T) {
	files := newFiles(t)
	binary := filepath.Join(t.TempDir(), "rbee")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	turned := make(chan struct{}, 100)
	f := newFleet(files, "gpu1", binary, zerolog.Nop(), func() {})
	f.turned = func() { turned <- struct{}{} }
	defer f.Close()
	m := newMember("w1", files.Worker("w1"), "gpu1", want{model: ops.Model{ID: "bee"}})
	m.within = 100 * time.Millisecond
	f.mu.Lock()
	f.members["w1"] = m
	f.owners.Go(func() { f.own(m) })
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e := ops.AsError(m.wait(ctx))
	if e == nil || e.Code != ops.CodeUnavailable || !strings.Contains(e.Message, "worker w1, process ") || !strings.Contains(e.Message, "no sign of life") ||
		!strings.Contains(e.Hint, "`rbee worker delete w1 --hive gpu1` ends it") {
		t.Fatalf("who waits is told %v (%+v)", e, e)
	}
	<-turned
	if w := f.list()[0]; w.State != ops.WorkerHung || w.Error != e.Message || !w.Broken() {
		t.Errorf("it is %+v", w)
	}
	if best := f.reuse(want{model: ops.Model{ID: "bee"}, anyEngine: true, anyDevice: true}); best != nil {
		t.Error("it gets jobs")
	}
	if err := f.remove(ctx, m); err != nil || m.process.Alive() {
		t.Errorf("it is not ended: %v", err)
	}
}
