package hive_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
	"rbee.dev/rbee/modes/hive"
	"rbee.dev/rbee/modes/hive/cores"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// benchTokens is how many tokens an answer has: half a second's worth on two
// cores that are free.
const benchTokens = 32

// BenchmarkCores measures what it is worth that a hive shares the cores out among
// its workers: tokens a second of llama.cpp, all workers together, with it and
// without it, when both sides take turns. Without it llama-server chooses its
// threads by itself, and they wait as GCC's library has it.
func BenchmarkCores(b *testing.B) {
	b.Setenv(realEngine, "1")
	b.Setenv(llamacpp.PathEnv, llamacpptest.Program(b))
	shared := benchHive(b, func(o *hive.Options) { o.Cores = cores.Find() })
	b.Setenv("GOMP_SPINCOUNT", "300000") // GCC's own number
	alone := benchHive(b, func(*hive.Options) {})
	n := len(cores.Find().List)
	for _, c := range []struct {
		name    string
		workers int
		busy    int // processes beside
	}{
		{"one", 1, 0}, {"two", 2, 0}, {"one-beside-a-busy-process", 1, 1}, {"one-beside-a-build", 1, 2 * n}, {"two-beside-a-busy-process", 2, 1},
	} {
		b.Run(c.name, func(b *testing.B) {
			defer beside(b, c.busy)()
			var with, without, ratios []float64
			for b.Loop() {
				w, o := shared.speed(b, c.workers), alone.speed(b, c.workers)
				with, without, ratios = append(with, w), append(without, o), append(ratios, w/o)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(with), "tok/s-shared")
			b.ReportMetric(median(without), "tok/s-unshared")
			b.ReportMetric(median(ratios), "ratio")
		})
	}
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// benched is a hive with two workers of one model.
type benched struct {
	client  *transport.Client
	workers [2]string
}

func benchHive(b *testing.B, change func(*hive.Options)) benched {
	b.Helper()
	h := newHomeIn(b, shortDir(b))
	folder := filepath.Join(h.Models(), "bench")
	m := gguftest.Model{Type: gguf.Q8_0, Seed: 1, Layers: 14, Width: 1024, Heads: 16, KVHeads: 4, FFN: 2560, Context: 4096} // 143 million weights
	if err := os.MkdirAll(folder, 0o700); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "model.gguf"), m.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	run(b, h, change)
	s := benched{client: client(b, h)}
	for i := range s.workers {
		w, err := transport.Call(b.Context(), s.client, ops.WorkerSpawn{Model: "bench", Engine: "llamacpp", Device: "cpu", Parallel: 1, Context: 512})
		if err != nil {
			b.Fatal(err)
		}
		s.workers[i] = w.ID
	}
	s.speed(b, 2) // both are warm
	return s
}

func shortDir(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp("", "rbee-bench-") //nolint:usetesting // a socket's path must be short
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// speed is how many tokens a second so many workers come to together.
func (s benched) speed(b *testing.B, workers int) float64 {
	b.Helper()
	var group sync.WaitGroup
	began := time.Now()
	for _, id := range s.workers[:workers] {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
			defer cancel()
			o := ops.Infer{Prompt: "x", MaxTokens: benchTokens, WorkerID: id, Temperature: new(float64)}
			if a, err := transport.Call(ctx, s.client, o); err != nil || a.CompletionTokens != benchTokens {
				b.Errorf("%+v, %v", a, err)
			}
		})
	}
	group.Wait()
	return float64(workers*benchTokens) / time.Since(began).Seconds()
}

// beside runs processes that compute without end, until it is told to stop.
func beside(b *testing.B, n int) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	var group sync.WaitGroup
	for range n {
		cmd := exec.CommandContext(ctx, "sh", "-c", "while :; do :; done")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		group.Go(func() { _ = cmd.Wait() }) // it is killed
	}
	return func() {
		cancel()
		group.Wait()
	}
}
