package modes_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh/sshtest"
)

// onOneThread is a program that runs another with one thread: more of them than
// the machine has processors would wait for each other.
func onOneThread(t *testing.T, program string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(program))
	if err := os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\nexec '%s' \"$@\" --threads 1\n", program), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	return path
}

// newDivided is a place with a second hive, gpu1, both with a real llama.cpp.
func newDivided(t *testing.T) *far {
	t.Helper()
	t.Setenv(llamacpp.PathEnv, onOneThread(t, llamacpptest.Program(t)))
	t.Setenv(llamacpp.RPCPathEnv, onOneThread(t, llamacpptest.RPC(t)))
	f := newFar(t, sshtest.Options{})
	f.install()
	return f
}

// spawn starts a worker.
func (f *far) spawn(args ...string) (w ops.Worker) {
	f.t.Helper()
	if err := json.Unmarshal([]byte(f.rbee(append([]string{"worker", "spawn", "-o", "json"}, args...)...)), &w); err != nil {
		f.t.Fatal(err)
	}
	return w
}

// greedy asks for a text that has no chance in it.
func (f *far) greedy() string {
	f.t.Helper()
	return f.rbee("infer", "-q", "--model", "tinybee", "--temperature", "0", "-n", "60", "Once upon a time")
}

// listening lists where a process and those that it started listen on TCP, as
// the kernel has it.
func listening(t *testing.T, pid int) (addresses []string) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		children, err := os.ReadFile(task)
		if err != nil {
			continue // a thread that has ended
		}
		for _, child := range strings.Fields(string(children)) {
			n, err := strconv.Atoi(child)
			if err != nil {
				t.Fatal(err)
			}
			addresses = append(addresses, listening(t, n)...)
		}
	}
	sockets := map[string]bool{}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name, err := os.Readlink(f); err == nil {
			sockets[strings.TrimSuffix(strings.TrimPrefix(name, "socket:["), "]")] = true
		}
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if row := strings.Fields(line); len(row) > 9 && row[3] == "0A" && sockets[row[9]] {
				addresses = append(addresses, row[1])
			}
		}
	}
	return addresses
}

func TestADividedModelAnswersAsAWholeOne(t *testing.T) {
	f := newDivided(t)
	whole := f.spawn("tinybee", "--hive", "localhost", "--device", "cpu")
	want := f.greedy()
	f.rbee("worker", "delete", whole.ID)
	for _, hives := range []string{"localhost,gpu1", "gpu1,localhost"} {
		t.Run(hives, func(t *testing.T) {
			first, further, _ := strings.Cut(hives, ",")
			main := f.spawn("tinybee", "--hives", hives)
			if main.HiveID != first || main.Model != "tinybee" || main.Engine != "llamacpp" || len(main.Parts) != 1 || main.Parts[0] != further {
				t.Errorf("it is %+v", main)
			}
			if got := f.greedy(); got != want {
				t.Errorf("divided it says %q, whole %q", got, want)
			}
			if list := f.rbee("worker", "list"); !strings.Contains(list, "tinybee with "+further) || !strings.Contains(list, "part of "+first+"/"+main.ID) {
				t.Errorf("listed as %s", list)
			}
			parts := 0
			for _, w := range f.workers() {
				for _, address := range listening(t, w.PID) {
					parts++
					if !strings.HasPrefix(address, "0100007F:") { // 127.0.0.1
						t.Errorf("worker %s listens on %s", w.ID, address)
					}
				}
			}
			if parts != 2 { // the RPC server's port and the one that leads to it
				t.Errorf("%d ports are listened on", parts)
			}
			f.rbee("worker", "delete", main.ID, "--hive", first)
			if left := f.workers(); len(left) > 0 {
				t.Errorf("left: %+v", left)
			}
		})
	}
}
