package llamacpp

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
	"rbee.dev/rbee/inference/slice"
)

// BenchmarkStreams measures what the engine's handler, on a Unix socket as a
// worker has it, adds to llama-server's own: tokens a second of so many streams
// at once, and the first token of each. Both sides take turns. Streams that begin
// some time apart are what a busy server sees. Of those that all begin at one
// moment it is chance how many find a place in the server's first batch, so their
// first tokens say little.
//
// The smaller model is a good deal faster than what people use, so that what is
// added shows; the larger one is of the size of the smallest that they do use.
func BenchmarkStreams(b *testing.B) {
	if err := slice.Short(); err != nil { // as in a worker, and the clients of both sides with it
		b.Log(err)
	}
	b.Cleanup(func() { _ = slice.Usual() })
	for _, model := range []struct {
		name      string
		shape     gguftest.Model
		oneMoment []int
	}{
		{"30 M weights", small, []int{8, 32}},
		{"143 M weights", usual, nil},
	} {
		b.Run(model.name, func(b *testing.B) {
			sides := bothSides(b, model.shape)
			for _, n := range []int{1, 8, 32} {
				b.Run(strconv.Itoa(n), func(b *testing.B) { compare(b, sides, n, 37*time.Millisecond) })
			}
			for _, n := range model.oneMoment {
				b.Run(strconv.Itoa(n)+" at one moment", func(b *testing.B) { compare(b, sides, n, 0) })
			}
		})
	}
}

// bothSides are clients of a llama-server and of the engine before it.
func bothSides(b *testing.B, shape gguftest.Model) [2]*http.Client {
	b.Helper()
	e, folder := benchEngine(b, shape, 32)
	front := filepath.Join(folder, "front.sock")
	l, err := net.Listen("unix", front)
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: e}  //nolint:gosec // the clients are here
	go func() { _ = server.Serve(l) }() // ends by Close
	b.Cleanup(func() { _ = server.Close() })
	return [2]*http.Client{dialing(filepath.Join(folder, "engine.sock")), dialing(front)}
}

// compare reports what so many streams get from either side.
func compare(b *testing.B, sides [2]*http.Client, n int, apart time.Duration) {
	for _, c := range sides { // warms it
		streams(b, c, n, apart)
	}
	var ratios, speeds []float64
	var firsts [2][]float64
	for b.Loop() {
		var took [2]time.Duration
		for i, c := range sides {
			var each []float64
			took[i], each = streams(b, c, n, apart)
			firsts[i] = append(firsts[i], each...)
		}
		ratios = append(ratios, took[0].Seconds()/took[1].Seconds())
		speeds = append(speeds, float64(n*benchTokens)/took[1].Seconds())
	}
	b.ReportMetric(median(speeds), "tokens/s")
	b.ReportMetric(median(ratios), "×direct")
	b.ReportMetric(median(firsts[0]), "ms-first-direct")
	b.ReportMetric(median(firsts[1])-median(firsts[0]), "ms-first-added")
	b.ReportMetric(0, "ns/op")
}

// median is the middle one: other work on the machine disturbs it little.
func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// BenchmarkStart measures from nothing to a first token: with the engine, and
// with a llama-server that is asked for its health every millisecond.
func BenchmarkStart(b *testing.B) {
	program, path := llamacpptest.Program(b), benchModel(b, small)
	var ours, theirs time.Duration
	for b.Loop() {
		began := time.Now()
		folder := shortFolder(b)
		spec := inference.Spec{ModelID: "m", ModelPath: path, Device: "cpu", Threads: 1, Parallel: 1, ContextLength: 512, Folder: folder}
		e, err := Open(b.Context(), spec, Options{Path: program})
		if err != nil {
			b.Fatal(err)
		}
		stream(b, dialing(filepath.Join(folder, "engine.sock")), 1)
		ours += time.Since(began)
		_ = e.Close()

		theirs += startDirectly(b, program, spec)
	}
	b.ReportMetric(float64(ours.Microseconds())/1000/float64(b.N), "ms")
	b.ReportMetric(float64((ours-theirs).Microseconds())/1000/float64(b.N), "ms-added")
}

const benchTokens = 64

// What is measured, by their number of weights: some 30 and some 143 million.
var (
	small = gguftest.Model{Type: gguf.Q8_0, Seed: 1, Layers: 8, Width: 512, Heads: 8, KVHeads: 8, FFN: 2048, Context: 512}
	usual = gguftest.Model{Type: gguf.Q8_0, Seed: 1, Layers: 15, Width: 768, Heads: 12, KVHeads: 12, FFN: 3072, Context: 512}
)

// benchModel writes a model of the shape.
func benchModel(b *testing.B, shape gguftest.Model) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "m.gguf")
	if err := os.WriteFile(path, shape.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

func benchEngine(b *testing.B, shape gguftest.Model, parallel int) (*Engine, string) {
	b.Helper()
	folder := shortFolder(b)
	e, err := Open(b.Context(), inference.Spec{
		ModelID: "m", ModelPath: benchModel(b, shape), Device: "cpu", Threads: 1, Parallel: parallel, ContextLength: 128, Folder: folder,
	}, Options{Path: llamacpptest.Program(b)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.Close() })
	return e, folder
}

// dialing is a client of the server on the socket.
func dialing(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
}

// streams runs n streams, each begun so long after the one before, and says how
// long all of them took, and after how many milliseconds the first token of each
// came.
func streams(b *testing.B, c *http.Client, n int, apart time.Duration) (took time.Duration, firsts []float64) {
	b.Helper()
	began := time.Now()
	firsts = make([]float64, n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			time.Sleep(time.Duration(i) * apart)
			firsts[i] = float64(stream(b, c, benchTokens).Microseconds()) / 1000
		})
	}
	running.Wait()
	return time.Since(began), firsts
}

// stream asks for so many tokens and says when the first one came.
func stream(b *testing.B, c *http.Client, tokens int) (first time.Duration) {
	body := fmt.Sprintf(`{"prompt":"Once upon a time","max_tokens":%d,"stream":true,"ignore_eos":true,"cache_prompt":false,"temperature":0}`, tokens)
	began := time.Now()
	answer, err := c.Post("http://x/v1/completions", "application/json", strings.NewReader(body))
	if err != nil {
		b.Error(err)
		return 0
	}
	defer answer.Body.Close()
	done := false
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if first == 0 && bytes.HasPrefix(lines.Bytes(), []byte("data:")) {
			first = time.Since(began)
		}
		done = done || lines.Text() == "data: [DONE]"
	}
	if !done {
		b.Errorf("%s: it does not end well", answer.Status)
	}
	return first
}

// startDirectly is how long a llama-server of the same settings takes to its
// first token.
func startDirectly(b *testing.B, program string, s inference.Spec) time.Duration {
	b.Helper()
	args, err := arguments(s, model{path: s.ModelPath, context: 512})
	if err != nil {
		b.Fatal(err)
	}
	socket := filepath.Join(shortFolder(b), "x.sock")
	began := time.Now()
	cmd := exec.CommandContext(b.Context(), program, append(args, "--host", socket)...)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	c := dialing(socket)
	for {
		if answer, err := c.Get("http://x/health"); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				break
			}
		}
		time.Sleep(time.Millisecond)
	}
	stream(b, c, 1)
	took := time.Since(began)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait() // it was asked to end
	return took
}
