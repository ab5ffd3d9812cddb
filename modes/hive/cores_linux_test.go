package hive_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
	"rbee.dev/rbee/modes/hive"
	"rbee.dev/rbee/modes/hive/cores"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// cpusOf is the list of CPUs that a process may run on.
func cpusOf(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return ""
	}
	m := regexp.MustCompile(`(?m)^Cpus_allowed_list:\s+(\S+)$`).FindSubmatch(text)
	return string(m[1])
}

// below are the processes that another started.
func below(t *testing.T, pid int) (pids []int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for _, word := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, child)
		}
	}
	return pids
}

// until waits for what the hive does about the cores, which only the kernel
// tells.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it has not come to this: " + what)
		}
	}
}

// computeTogether has two workers answer at the same time, for as long as during
// runs.
func computeTogether(t *testing.T, c *transport.Client, workers [2]string, during func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for _, id := range workers {
		group.Go(func() {
			for ctx.Err() == nil {
				_, err := transport.Call(ctx, c, ops.Infer{Prompt: "Once upon a time", MaxTokens: 300, WorkerID: id})
				if err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	during()
	cancel()
	group.Wait()
}

// shared holds that of two workers, whose processes are given, each has cores of
// its own while both compute, and all of them otherwise.
func shared(t *testing.T, c *transport.Client, workers [2]string, pids [2]int) {
	t.Helper()
	all := cpusOf(os.Getpid())
	if list := cores.Find().List; len(list) < 2 {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI needs two cores, got %v", list)
		}
		t.Skipf("there is nothing to share out of %v", list)
	}
	if one, two := cpusOf(pids[0]), cpusOf(pids[1]); one != all || two != all {
		t.Errorf("at first they may run on %s and %s, of %s", one, two, all)
	}
	computeTogether(t, c, workers, func() {
		until(t, "each has cores of its own", func() bool {
			one, two := cpusOf(pids[0]), cpusOf(pids[1])
			return one != all && two != all && one != two
		})
	})
	until(t, "both have all cores again", func() bool { return cpusOf(pids[0]) == all && cpusOf(pids[1]) == all })
}

func withCores(o *hive.Options) { o.Cores = cores.Find() }

func TestTwoThatComputeAtTheSameTimeRunOnCoresOfTheirOwn(t *testing.T) {
	h := newHome(t)
	c := client(t, h)
	run(t, h, withCores)
	one, two := do(t, c, ops.WorkerSpawn{}), do(t, c, ops.WorkerSpawn{})
	shared(t, c, [2]string{one.ID, two.ID}, [2]int{one.PID, two.PID})
}

func TestThreadsAndCoresArriveAtLlamaCpp(t *testing.T) {
	t.Setenv(realEngine, "1")
	t.Setenv(llamacpp.PathEnv, llamacpptest.Program(t))
	h := newHome(t)
	c := client(t, h)
	run(t, h, withCores)
	o := ops.WorkerSpawn{Engine: "llamacpp", Parallel: 1, Context: 512, Flags: []string{"--no-warmup"}}
	one, two := do(t, c, o), do(t, c, o)
	var servers [2]int
	for i, w := range []ops.Worker{one, two} {
		children := below(t, w.PID)
		if len(children) != 1 {
			t.Fatalf("the worker has started %v", children)
		}
		servers[i] = children[0]
		words := strings.Split(strings.TrimRight(read(t, servers[i], "cmdline"), "\x00"), "\x00")
		at := slices.Index(words, "--threads")
		if want := strconv.Itoa(cores.Find().Threads()); at < 0 || words[at+1] != want {
			t.Errorf("llama-server is started as %q, want --threads %s", words, want)
		}
		if !strings.Contains("\x00"+read(t, servers[i], "environ"), "\x00GOMP_SPINCOUNT=100\x00") {
			t.Error("its threads spin as long as they like")
		}
		if w.Device != "cpu" {
			t.Errorf("it is on %q", w.Device)
		}
	}
	shared(t, c, [2]string{one.ID, two.ID}, servers)
}

func read(t *testing.T, pid int, name string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
