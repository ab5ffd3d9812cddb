package hive_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"rbee.dev/rbee/inference/enginetest"
	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/hive"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
)

func TestAStreamGoesOnThroughARestartOfTheHive(t *testing.T) {
	h := start(t)
	w := do(t, h.Client, ops.WorkerSpawn{})
	restarted := make(chan struct{})
	got := infer(t, h.Client, ops.Infer{Prompt: "x"}, func(n int) {
		if n == 10 {
			go func() { // received below
				defer close(restarted)
				h.stop(daemon.ScopeSelf)
				run(t, h.home)
			}()
		}
	})
	<-restarted
	if got.err != nil || got.text != enginetest.Text(pieces) || got.answer.WorkerID != w.ID {
		t.Errorf("got %q, %+v, %v", got.text, got.answer, got.err)
	}
	if again := do(t, h.Client, ops.WorkerGet{ID: w.ID}); again.PID != w.PID || again.State != ops.WorkerReady || !again.StartedAt.Equal(w.StartedAt) {
		t.Errorf("the worker was %+v and is %+v", w, again)
	}
}

// process starts the home's hive as a process and waits until it answers.
func process(t *testing.T, h home.Home) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "hive", "serve") //nolint:noctx // ended by its test
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has mostly ended
		_ = cmd.Wait()
	})
	c := client(t, h)
	for {
		if health, err := c.Health(t.Context()); err == nil && health.PID == cmd.Process.Pid {
			return cmd
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAStreamGoesOnThroughAHiveThatIsKilled(t *testing.T) {
	h := newHome(t)
	c := client(t, h)
	first := process(t, h)
	w := do(t, c, ops.WorkerSpawn{})
	restarted := make(chan struct{})
	got := infer(t, c, ops.Infer{Prompt: "x"}, func(n int) {
		if n == 10 {
			go func() { // received below
				defer close(restarted)
				_ = first.Process.Kill()
				_ = first.Wait()
				process(t, h)
			}()
		}
	})
	<-restarted
	if got.err != nil || got.text != enginetest.Text(pieces) || got.answer.WorkerID != w.ID {
		t.Errorf("got %q, %+v, %v", got.text, got.answer, got.err)
	}
}

func TestAWorkerThatWasLoadingWhenItsHiveWasKilledIsFoundAgain(t *testing.T) {
	t.Setenv(loadTime, "300ms")
	h := newHome(t)
	c := client(t, h)
	first := process(t, h)
	const id = "a-job-that-spawns-1"
	if _, err := c.Submit(t.Context(), ops.WorkerSpawn{}, id); err != nil {
		t.Fatal(err)
	}
	s := await(t, c, func(s ops.HiveSnapshot) bool { return len(s.Workers) == 1 && s.Workers[0].PID > 0 })
	_ = first.Process.Kill()
	_ = first.Wait()
	process(t, h)
	var got ops.Worker
	for r, err := range c.Follow(t.Context(), id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := r.Event.(ops.ResultEvent); ok {
			if err := json.Unmarshal(e.Raw, &got); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got.ID != s.Workers[0].ID || got.PID != s.Workers[0].PID || got.State != ops.WorkerReady {
		t.Errorf("the job gives %+v, the worker was %+v", got, s.Workers[0])
	}
	if list := do(t, c, ops.WorkerList{}).Workers; len(list) != 1 {
		t.Errorf("the list says %+v", list)
	}
}

func TestAWorkerThatDiedWhileTheHiveWasAwayFailsTheJobItHad(t *testing.T) {
	h := start(t)
	w := do(t, h.Client, ops.WorkerSpawn{})
	restarted := make(chan struct{})
	got := infer(t, h.Client, ops.Infer{Prompt: "x"}, func(n int) {
		if n == 10 {
			go func() { // received below
				defer close(restarted)
				h.stop(daemon.ScopeSelf)
				kill(t, w.PID)
				if err := daemon.WaitEnd(t.Context(), daemon.ProcessOf(w.PID)); err != nil {
					t.Error(err)
				}
				run(t, h.home)
			}()
		}
	})
	<-restarted
	wantError(t, got.err, ops.CodeUnavailable, "worker "+w.ID+", which was answering, has ended")
}

func TestTheHivesSignalsSayWhatBecomesOfWorkers(t *testing.T) {
	for _, c := range []struct {
		signal os.Signal
		stays  bool
	}{{syscall.SIGTERM, true}, {os.Interrupt, false}} {
		t.Run(c.signal.String(), func(t *testing.T) {
			h := newHome(t)
			cmd := process(t, h)
			w := do(t, client(t, h), ops.WorkerSpawn{})
			worker := daemon.ProcessOf(w.PID)
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("the hive ends with %v", err)
			}
			if worker.Alive() != c.stays {
				t.Errorf("the worker lives: %v", worker.Alive())
			}
			if entries, err := os.ReadDir(h.Workers()); err != nil || (len(entries) > 0) != c.stays {
				t.Errorf("the workers' folder holds %v, %v", entries, err)
			}
		})
	}
}

func TestOnlyProcessesThatAreStillTheSameAreTakenBack(t *testing.T) {
	h := newHome(t)
	other := exec.CommandContext(t.Context(), "sleep", "60") // has a dead worker's pid
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-time.Minute)
	for id, pidFile := range map[string]string{
		"w1": fmt.Sprintf(`{"pid":%d,"start":"7"}`, other.Process.Pid),
		"w2": `{"pid":999999999,"start":"7"}`,
		"w3": `not JSON`,
		"w4": ``,
	} {
		folder := h.Worker(id)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if pidFile != "" {
			if err := os.WriteFile(filepath.Join(folder, home.WorkerPID), []byte(pidFile), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(folder, long, long); err != nil {
			t.Fatal(err)
		}
	}
	run(t, h)
	if list := do(t, client(t, h), ops.WorkerList{}).Workers; len(list) != 0 {
		t.Errorf("the list says %+v", list)
	}
	if entries, err := os.ReadDir(h.Workers()); err != nil || len(entries) > 0 {
		t.Errorf("the workers' folder holds %v, %v", entries, err)
	}
	if !daemon.ProcessOf(other.Process.Pid).Alive() {
		t.Error("a stranger's process was ended")
	}
	_ = other.Process.Kill()
	_ = other.Wait()
}

func TestAFoundWorkerThatDoesNotAnswerIsEnded(t *testing.T) {
	h := newHome(t)
	deaf := exec.CommandContext(t.Context(), "sleep", "3600")
	if err := deaf.Start(); err != nil {
		t.Fatal(err)
	}
	reaped := make(chan struct{})
	go func() { // received below
		defer close(reaped)
		_ = deaf.Wait()
	}()
	if err := os.Mkdir(h.Worker("w1"), 0o700); err != nil {
		t.Fatal(err)
	}
	record, err := json.Marshal(daemon.Record{Process: daemon.ProcessOf(deaf.Process.Pid)})
	if err == nil {
		err = os.WriteFile(filepath.Join(h.Worker("w1"), home.WorkerPID), record, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	held := flock.New(filepath.Join(h.Worker("w1"), home.WorkerPID) + ".lock") // as a worker does
	if err := held.Lock(); err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	run(t, h)
	if list := do(t, client(t, h), ops.WorkerList{}).Workers; len(list) != 0 {
		t.Errorf("the list says %+v", list)
	}
	<-reaped
}

func TestTwoHivesOfOneHomeCannotRun(t *testing.T) {
	h := start(t)
	_, err := hive.New(hive.Options{Home: h.home, Name: "localhost", Binary: os.Args[0]})
	wantError(t, err, ops.CodeConflict, fmt.Sprintf("a hive is already running, pid %d on %s", os.Getpid(), h.home.HiveSocket()))
}

func TestStalePIDFilesAndSocketsAreNoObstacle(t *testing.T) {
	h := newHome(t)
	cmd := process(t, h)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for _, path := range []string{h.PIDFile("hive"), h.HiveSocket()} {
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("nothing is stale: %v", err)
		}
	}
	run(t, h)
	if _, err := client(t, h).Health(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAHomeWithAPathTooLongForSocketsWorks(t *testing.T) {
	h := newHomeIn(t, filepath.Join(t.TempDir(), strings.Repeat("a-long-path/", 15)))
	run(t, h)
	if got := infer(t, client(t, h), ops.Infer{Prompt: "x", MaxTokens: 2}, nil); got.err != nil || got.text != enginetest.Text(2) {
		t.Errorf("got %q, %v", got.text, got.err)
	}
}

func TestAHiveThatCannotWriteItsModelsSaysSo(t *testing.T) {
	h := newHome(t)
	if err := os.RemoveAll(h.Models()); err != nil {
		t.Fatal(err)
	}
	_, err := hive.New(hive.Options{Home: h, Name: "localhost", Binary: os.Args[0]})
	if err == nil || !strings.Contains(err.Error(), "open the models' folder") {
		t.Errorf("got %v", err)
	}
	if _, alive, err := daemon.Running(h.PIDFile("hive")); err != nil || alive {
		t.Errorf("the pid file stays: %v, %v", alive, err)
	}
}

// TestAProbeTellsTheMemoryOfNow: what is free changes, and so may what there is.
func TestAProbeTellsTheMemoryOfNow(t *testing.T) {
	h := newHome(t)
	var free atomic.Uint64
	free.Store(3 << 10)
	run(t, h, func(o *hive.Options) {
		o.Memory = func(context.Context) (uint64, uint64) { return 1 << 20, free.Load() }
	})
	c := client(t, h)
	for _, want := range []uint64{2 << 10, 1 << 10} {
		free.Store(want)
		var s ops.HiveSnapshot
		if err := c.Post(t.Context(), "/v1/probe", map[string]bool{}, &s); err != nil {
			t.Fatal(err)
		}
		if got := s.Hive.Devices[0]; got.MemoryFreeBytes != want || got.MemoryBytes != 1<<20 || got.MachineMemoryBytes <= 1<<20 {
			t.Errorf("%+v, want %d free", got, want)
		}
	}
}

// TestAStatusRightAfterTheStartTellsOfTheCards, which take a moment to answer.
func TestAStatusRightAfterTheStartTellsOfTheCards(t *testing.T) {
	bin, ask := t.TempDir(), filepath.Join(t.TempDir(), "asked")
	if err := syscall.Mkfifo(ask, 0o600); err != nil {
		t.Fatal(err)
	}
	card := "#!/bin/sh\nread x <" + ask + "\necho '0, NVIDIA GeForce RTX 4090, 24564, 24080, 580.65.06, GPU-1a, 8.9, [N/A]'\n"
	if err := os.WriteFile(filepath.Join(bin, "nvidia-smi"), []byte(card), 0o700); err != nil { //nolint:gosec // it is a program
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	h := start(t)
	go func() { // opens once nvidia-smi does
		_ = os.WriteFile(ask, []byte("go\n"), 0o600)
	}()
	var s ops.HiveSnapshot
	if err := h.Post(t.Context(), "/v1/probe", map[string]bool{"devices": true}, &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Hive.Devices) != 2 || s.Hive.Devices[1].ID != "cuda:0" {
		t.Errorf("the devices are %+v", s.Hive.Devices)
	}
}

func TestAProbeTellsWhatTheHiveKnows(t *testing.T) {
	h := start(t)
	var s ops.HiveSnapshot
	if err := h.Post(t.Context(), "/v1/probe", map[string]bool{"refresh_capabilities": true}, &s); err != nil {
		t.Fatal(err)
	}
	cpu := s.Hive.Devices[0]
	if s.Hive.ID != "localhost" || s.Hive.State != ops.HiveUp || s.Hive.PID != os.Getpid() || s.Hive.Models != 1 || s.Hive.StartedAt == nil ||
		cpu.ID != "cpu" || cpu.Cores == 0 || cpu.MemoryBytes == 0 || cpu.MemoryFreeBytes > cpu.MemoryBytes {
		t.Errorf("got %+v", s.Hive)
	}
	wantError(t, h.Post(t.Context(), "/v1/probe", "what?", nil), ops.CodeInvalid)
}
