package pacedtest

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/metrics"
)

// Memory is what a queen's Go runtime holds, in bytes.
type Memory struct {
	// Live is what is in use on the heap, as a collection has just found. Among it are
	// some 450 bytes for each of as many goroutines as there ever were at once.
	Live uint64
	// Stacks is the goroutines' and threads' stacks, Idle what is mapped and in no
	// use, and Tables what the runtime keeps of all that.
	Stacks, Idle, Tables uint64
	// Collections is how many were asked for, also by whoever asked for this.
	Collections uint64
}

// tellMemory has a queen, if args are one's and somebody wants it, tell of her memory
// at a Unix socket: to GET as it is, to POST after a collection.
func tellMemory(args []string) {
	path := os.Getenv(MemoryAt)
	if path == "" || len(args) < 3 || args[1] != "queen" || args[2] != "serve" {
		return
	}
	l, err := net.Listen("unix", path) //nolint:noctx // it ends with the process
	if err != nil {
		return // whoever asks fails
	}
	tell := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			runtime.GC() // what pools hold goes with the second only
			runtime.GC()
		}
		_ = json.NewEncoder(w).Encode(memory())
	}
	go func() { _ = http.Serve(l, http.HandlerFunc(tell)) }() //nolint:gosec // nobody but the test knows of it
}

func memory() Memory {
	names := []string{
		"/gc/heap/live:bytes", "/memory/classes/heap/stacks:bytes", "/memory/classes/heap/free:bytes", "/gc/cycles/forced:gc-cycles",
		"/memory/classes/metadata/mspan/inuse:bytes", "/memory/classes/metadata/mspan/free:bytes",
		"/memory/classes/metadata/other:bytes", "/memory/classes/other:bytes",
	}
	samples := make([]metrics.Sample, len(names))
	for i, name := range names {
		samples[i].Name = name
	}
	metrics.Read(samples)
	m := Memory{Live: samples[0].Value.Uint64(), Stacks: samples[1].Value.Uint64(), Idle: samples[2].Value.Uint64(), Collections: samples[3].Value.Uint64()}
	for _, s := range samples[4:] {
		m.Tables += s.Value.Uint64()
	}
	return m
}
