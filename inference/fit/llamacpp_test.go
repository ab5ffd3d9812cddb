package fit_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
)

// TestLlamaCppTakesWhatIsEstimated holds the estimate against what llama.cpp's
// server says it has set aside: the cache to the cell, and the rest to be
// enough, but not too much.
func TestLlamaCppTakesWhatIsEstimated(t *testing.T) {
	program := llamacpptest.Program(t)
	for _, c := range []struct {
		name  string
		model gguftest.Model
		spec  inference.Spec
		args  []string
	}{
		{"llama", gguftest.Model{Type: gguf.Q8_0, Layers: 4, Width: 512, Heads: 8, KVHeads: 8, FFN: 2048, Context: 8192}, inference.Spec{ContextLength: 1000, Parallel: 2}, nil},
		{"a long context", gguftest.Model{Type: gguf.Q8_0, Layers: 2, Context: 1 << 15}, inference.Spec{ContextLength: 1 << 14, Parallel: 1}, nil},
		{
			"qwen3 with a smaller cache",
			gguftest.Model{Architecture: "qwen3", Type: gguf.Q4_K, Layers: 6, Width: 1024, Heads: 16, KVHeads: 2, FFN: 1024, Context: 4096},
			inference.Spec{Parallel: 4, Flags: []string{"cache-type-k=q8_0", "--cache-type-v=q8_0"}},
			[]string{"--cache-type-k", "q8_0", "--cache-type-v", "q8_0"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := c.model.Bytes()
			m := read(t, data)
			run := m.LlamaCpp(c.spec)
			got := measure(t, program, data, append(c.args, "--parallel", strconv.Itoa(run.Parallel), "--ctx-size", strconv.Itoa(run.Context*run.Parallel)))
			need := m.Need(run)
			t.Logf("estimated %+v; it takes %+v", need, got)
			if need.Cache != got.cache {
				t.Errorf("a cache of %d bytes was estimated; it takes %d", need.Cache, got.cache)
			}
			const slack = 8 << 20
			if need.Weights < got.weights || need.Weights > got.weights+slack {
				t.Errorf("weights of %d bytes were estimated; they take %d", need.Weights, got.weights)
			}
			if need.Compute < got.compute || need.Compute > 2*got.compute+slack {
				t.Errorf("%d bytes to compute with were estimated; it takes %d", need.Compute, got.compute)
			}
			if rest := got.anonymous - min(got.anonymous, got.cache+got.compute+got.weights); rest > need.Program {
				t.Errorf("the program was estimated at %d bytes; it takes %d", need.Program, rest)
			}
		})
	}
}

// taken is what llama-server says that it takes, and the memory of its own that
// its process has, in bytes.
type taken struct{ weights, cache, compute, anonymous, projector uint64 }

// sizes are the lines that tell of it.
var sizes = regexp.MustCompile(`(?m)(model buffer size|KV buffer size|compute buffer size|output buffer size|memory usage of mmproj) (?:=|is) +([0-9.]+) MiB`)

// measure runs llama-server until it is ready. It says each size twice where it
// has tried first what fits: the largest is the real one.
func measure(t *testing.T, program string, model []byte, args []string) taken {
	t.Helper()
	folder, err := os.MkdirTemp("", "rbee-fit-") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path, socket := filepath.Join(folder, "m.gguf"), filepath.Join(folder, "s.sock") // the ending makes it one
	if err := os.WriteFile(path, model, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, program, append([]string{"--model", path, "--host", socket, "--verbosity", "5", "--threads", "1"}, args...)...)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // its log is written by a thread of its own
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := healthy(ctx, socket)
	got := taken{anonymous: anonymous(t, cmd.Process.Pid)}
	cancel()
	_ = cmd.Wait() // it was ended
	if !ready {
		t.Fatalf("llama-server does not come up:\n%s", log.String())
	}
	largest := map[string]uint64{}
	for _, m := range sizes.FindAllStringSubmatch(log.String(), -1) {
		mebibytes, _ := strconv.ParseFloat(m[2], 64)
		largest[m[1]] = max(largest[m[1]], uint64(mebibytes*(1<<20)))
	}
	got.weights, got.cache, got.compute = largest["model buffer size"], largest["KV buffer size"], largest["compute buffer size"]+largest["output buffer size"]
	got.projector = largest["memory usage of mmproj"]
	return got
}

// healthy reports whether the server answers before ctx ends.
func healthy(ctx context.Context, socket string) bool {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	for ctx.Err() == nil {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/health", nil)
		if err != nil {
			return false
		}
		if answer, err := transport.RoundTrip(r); err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return true
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return false
}

// anonymous is the memory of a process that is no file's, in bytes.
func anonymous(t *testing.T, pid int) uint64 {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`RssAnon:\s+([0-9]+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatal("the process does not tell its memory")
	}
	n, err := strconv.ParseUint(string(m[1]), 10, 54)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}
