package modes_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// BenchmarkKnown measures how long it takes the queen to know that a worker of
// llama.cpp is ready, from the moment that the worker itself says so. She is asked
// again and again meanwhile, so an answer's own time is in it.
func BenchmarkKnown(b *testing.B) {
	home := benchHome(b)
	b.Setenv(llamacpp.PathEnv, llamacpptest.Program(b))
	firstToken(b, home)
	b.Cleanup(func() { stop(b, home) })
	record, err := daemon.Read(filepath.Join(home, "state", "queen.pid"))
	if err != nil {
		b.Fatal(err)
	}
	token, err := os.ReadFile(filepath.Join(home, "state", "queen.token"))
	if err != nil {
		b.Fatal(err)
	}
	queen := transport.New(transport.Options{BaseURL: "http://" + record.Address, Token: strings.TrimSpace(string(token))})
	b.Cleanup(queen.Close)
	var late, asking []time.Duration
	for b.Loop() {
		began := time.Now()
		known := workersOf(b, queen)
		asking = append(asking, time.Since(began))
		done := make(chan error, 1)
		go func() { // received below
			_, err := transport.Call(b.Context(), queen, ops.WorkerSpawn{Engine: "llamacpp", Device: "cpu", Parallel: 1, Context: 256, Flags: []string{"threads-batch=1"}})
			done <- err
		}()
		var fresh string
		for fresh == "" {
			for id := range workersOf(b, queen) {
				if _, old := known[id]; !old {
					fresh = id
				}
			}
		}
		ready := saysReady(b, filepath.Join(home, "state", "workers", fresh, "worker.sock"))
		for workersOf(b, queen)[fresh] == ops.WorkerLoading {
			continue
		}
		late = append(late, time.Since(<-ready))
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		if _, err := transport.Call(b.Context(), queen, ops.WorkerDelete{ID: fresh}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(median(late).Microseconds())/1000, "ms-known")
	b.ReportMetric(float64(median(asking).Microseconds())/1000, "ms-asking")
	b.ReportMetric(0, "ns/op")
}

// workersOf is the workers that the queen knows, and their states.
func workersOf(b *testing.B, queen *transport.Client) map[string]ops.WorkerState {
	b.Helper()
	r, err := transport.Call(b.Context(), queen, ops.Status{})
	if err != nil {
		b.Fatal(err)
	}
	states := map[string]ops.WorkerState{}
	for _, w := range r.Workers {
		states[w.ID] = w.State
	}
	return states
}

// saysReady tells when the worker at the socket says that it is ready.
func saysReady(b *testing.B, socket string) <-chan time.Time {
	b.Helper()
	at := make(chan time.Time, 1)
	go func() { // ends with the worker, which is deleted
		for len(at) == 0 && b.Context().Err() == nil {
			c := transport.New(transport.Unix(socket))
			for text, err := range c.State(b.Context()) {
				var w ops.Worker
				if err == nil && json.Unmarshal(text, &w) == nil && w.State == ops.WorkerReady {
					at <- time.Now()
					break
				}
			}
			c.Close()
		}
	}()
	return at
}
