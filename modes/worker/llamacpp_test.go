package worker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rbee.dev/rbee/inference/enginetest"
	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/modes/worker"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// spawnLlama starts a worker that finds a real llama-server.
func spawnLlama(t *testing.T, flags ...string) process {
	t.Helper()
	t.Setenv(llamacpp.PathEnv, llamacpptest.Program(t))
	args := []string{"--device", "cpu", "--parallel", "1", "--flag=ignore-eos", "--flag=threads-batch=1"}
	return spawn(t, "builtin", tinybee(t), append(args, flags...)...).up(t)
}

// child waits for the process that the worker has started, and returns its id.
func child(t *testing.T, parent int) int {
	t.Helper()
	for {
		files, err := filepath.Glob("/proc/[0-9]*/stat")
		if err != nil || len(files) == 0 {
			t.Skip("needs /proc")
		}
		for _, f := range files {
			stat, err := os.ReadFile(f)
			if err != nil {
				continue
			}
			var pid, of int
			var state string
			_, rest, _ := strings.Cut(string(stat), ") ")
			if _, err := fmt.Sscan(rest, &state, &of); err == nil && of == parent && state != "Z" {
				_, _ = fmt.Sscan(string(stat), &pid)
				return pid
			}
		}
		time.Sleep(time.Millisecond)
	}
}

func TestLlamaCppIsTakenWhereItIsFound(t *testing.T) {
	folder := t.TempDir()
	t.Setenv(llamacpp.PathEnv, filepath.Join(folder, "llama-server"))
	open := paced(enginetest.Options{})
	table := map[string]worker.Open{"builtin": open, "llamacpp": open}
	for _, c := range []struct {
		name, engine, want string
		found              bool
	}{
		{"it is not there", "auto", "builtin", false},
		{"it is", "auto", "llamacpp", true},
		{"nothing is said", "", "llamacpp", true},
		{"another is wanted", "builtin", "builtin", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.found {
				if err := os.WriteFile(filepath.Join(folder, "llama-server"), []byte("#!/bin/sh\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			w, err := worker.New(worker.Options{ID: "w1", Engine: c.engine, Folder: t.TempDir(), Engines: table})
			if err != nil || w.Engine != c.want {
				t.Fatalf("got %q, %v", w.Engine, err)
			}
			if device := map[string]string{"builtin": "cpu", "llamacpp": "auto"}[c.want]; w.Device != device {
				t.Errorf("on %q", w.Device)
			}
			done, cancel := context.WithCancel(t.Context())
			cancel()
			if err := w.Run(done); err != nil { // gives its folder up
				t.Error(err)
			}
		})
	}
}

func TestAJobIsAnsweredByLlamaCpp(t *testing.T) {
	w := spawnLlama(t)
	seed := int64(7)
	o := ops.Infer{Prompt: "Once upon a time", Seed: &seed, MaxTokens: 24}
	text, answer, err := infer(t, w.Client, o)
	if err != nil || text != answer.Text || answer.CompletionTokens != 24 || answer.PromptTokens < 4 || answer.FinishReason != "length" {
		t.Fatalf("got %q, %+v, %v", text, answer, err)
	}
	if again, _, err := infer(t, w.Client, o); err != nil || again != text {
		t.Errorf("the same seed: %q, %v", again, err)
	}
	words := strings.Fields(text)
	o.Stop = []string{" " + words[4]}
	if short, answer, err := infer(t, w.Client, o); err != nil || answer.FinishReason != "stop" || strings.Contains(short, o.Stop[0]) {
		t.Errorf("stopped: %q, %+v, %v", short, answer, err)
	}
	if raw, answer, err := infer(t, w.Client, ops.Infer{Prompt: "Once upon a", Raw: true, MaxTokens: 4}); err != nil || answer.CompletionTokens != 4 {
		t.Errorf("raw: %q, %+v, %v", raw, answer, err)
	}
	_, _, err = infer(t, w.Client, ops.Infer{Prompt: strings.Repeat("bee ", 3000)})
	if ops.CodeOf(err) != ops.CodeInvalid || !strings.Contains(err.Error(), "context") {
		t.Errorf("a prompt that is too long: %v", err)
	}
}

func TestLlamaCppKilledInTheMiddleFailsTheJobAndNotTheNext(t *testing.T) {
	w := spawnLlama(t)
	killed := false
	_, err := w.Do(t.Context(), ops.Infer{Prompt: "x", MaxTokens: 400}, "", func(r transport.Received) error {
		if _, ok := r.Event.(ops.TokenEvent); ok && !killed {
			killed = true
			return syscall.Kill(child(t, w.cmd.Process.Pid), syscall.SIGKILL)
		}
		return nil
	})
	of := "worker w1 of localhost, which runs tinybee: llama-server ended (signal 9, killed); it is started again"
	if ops.CodeOf(err) != ops.CodeUnavailable || !strings.Contains(err.Error(), of) && !strings.Contains(err.Error(), "broke its answer off") {
		t.Errorf("the job ends with %v (%s)", err, ops.CodeOf(err))
	}
	if hint := ops.AsError(err).Hint; strings.Contains(err.Error(), of) && !strings.Contains(hint, "`rbee worker get w1") {
		t.Errorf("the hint is %q", hint)
	}
	if text, answer, err := infer(t, w.Client, ops.Infer{Prompt: "x", MaxTokens: 8}); err != nil || answer.CompletionTokens != 8 {
		t.Errorf("the next one: %q, %+v, %v", text, answer, err)
	}
	log, err := os.ReadFile(filepath.Join(w.folder, home.WorkerLog))
	if err != nil || !strings.Contains(string(log), "the engine ended by itself and is started again") || !strings.Contains(string(log), "model loaded") {
		t.Errorf("the log says %s, %v", log, err)
	}
}

func TestAWorkerWhoseModelWasDeletedEndsWithItsEngine(t *testing.T) {
	t.Setenv(llamacpp.PathEnv, llamacpptest.Program(t))
	path := tinybee(t)
	w := spawn(t, "builtin", path, "--device", "cpu").up(t)
	await(t, w.Client, func(i ops.Worker) bool { return i.State == ops.WorkerReady })
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(child(t, w.cmd.Process.Pid), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Wait(); err == nil {
		t.Error("it exits with 0")
	}
	if said := w.said.String(); !strings.Contains(said, "is not started again: its model's file is gone: "+path) {
		t.Errorf("it says %s", said)
	}
	log, err := os.ReadFile(filepath.Join(w.folder, home.WorkerLog))
	if err != nil || strings.Contains(string(log), "is started again") {
		t.Errorf("the log says %s, %v", log, err)
	}
}

func TestLlamaCppEndsWithItsWorker(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(s.String(), func(t *testing.T) {
			w := spawnLlama(t)
			await(t, w.Client, func(i ops.Worker) bool { return i.State == ops.WorkerReady })
			pid := child(t, w.cmd.Process.Pid)
			if err := w.cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			_ = w.cmd.Wait() // killed, or ended as asked
			for alive(pid) {
				time.Sleep(time.Millisecond)
			}
		})
	}
}

// alive reports whether there is a process with the id, zombies aside.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestASettingThatLlamaCppDoesNotTakeFailsTheWorker(t *testing.T) {
	t.Setenv(llamacpp.PathEnv, llamacpptest.Program(t))
	w := spawn(t, "builtin", tinybee(t), "--flag=lora=/etc/passwd")
	if err := w.cmd.Wait(); err == nil {
		t.Error("it exits with 0")
	}
	if said := w.said.String(); !strings.Contains(said, "--lora is not passed on to llama-server") {
		t.Errorf("it says %s", said)
	}
}
