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
// When a first token comes depends on the server's batches by many times of what
// is added, so ms-first-added takes thousands of streams to settle. ms-held is of
// each stream by itself: its time to the first token without what passed between
// the request's last byte to llama-server and its first token's coming from there.
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

// bothSides are the ways to a llama-server itself and to the engine before it.
func bothSides(b *testing.B, shape gguftest.Model) [2]side {
	b.Helper()
	e, folder := benchEngine(b, shape, 32)
	front := filepath.Join(folder, "front.sock")
	l, err := net.Listen("unix", front)
	if err != nil {
		b.Fatal(err)
	}
	direct, through := side{server: &stopwatch{}}, side{server: &stopwatch{}}
	server := &http.Server{Handler: through.server.before(e)} //nolint:gosec // the clients are here
	go func() { _ = server.Serve(l) }()                       // ends by Close
	b.Cleanup(func() { _ = server.Close() })
	through.client, direct.client = dialing(front), dialing(filepath.Join(folder, "engine.sock"))
	direct.client.Transport = watching{direct.client.Transport, direct.server}
	return [2]side{direct, through}
}

// compare reports what so many streams get from either side.
func compare(b *testing.B, sides [2]side, n int, apart time.Duration) {
	for _, s := range sides { // warms it
		streams(b, s, n, apart)
	}
	var ratios, speeds []float64
	var firsts, outside [2][]float64
	for b.Loop() {
		var took [2]time.Duration
		for i, s := range sides {
			var each []begun
			took[i], each = streams(b, s, n, apart)
			for _, at := range each {
				firsts[i] = append(firsts[i], milliseconds(at.first))
				outside[i] = append(outside[i], milliseconds(at.first-at.inside))
			}
		}
		ratios = append(ratios, took[0].Seconds()/took[1].Seconds())
		speeds = append(speeds, float64(n*benchTokens)/took[1].Seconds())
	}
	b.ReportMetric(median(speeds), "tokens/s")
	b.ReportMetric(median(ratios), "×direct")
	b.ReportMetric(median(firsts[0]), "ms-first-direct")
	b.ReportMetric(median(firsts[1])-median(firsts[0]), "ms-first-added")
	b.ReportMetric(median(outside[1])-median(outside[0]), "ms-held")
	b.ReportMetric(0, "ns/op")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

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
		stream(b, dialing(filepath.Join(folder, "engine.sock")), "", 1)
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

// begun is how long a stream took to its first token, and the server of it.
type begun struct{ first, inside time.Duration }

// streams runs n streams, each begun so long after the one before, and says how
// long all of them took, and when each began.
func streams(b *testing.B, s side, n int, apart time.Duration) (took time.Duration, each []begun) {
	b.Helper()
	start := time.Now()
	each = make([]begun, n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			time.Sleep(time.Duration(i) * apart)
			name := strconv.Itoa(i)
			began, first := stream(b, s.client, name, benchTokens)
			each[i] = begun{first: first.Sub(began), inside: s.server.of(name, first)}
		})
	}
	running.Wait()
	return time.Since(start), each
}

// stream asks for so many tokens and says when, and when the first one came.
func stream(b *testing.B, c *http.Client, name string, tokens int) (began, first time.Time) {
	body := fmt.Sprintf(`{"prompt":"Once upon a time","max_tokens":%d,"stream":true,"ignore_eos":true,"cache_prompt":false,"temperature":0}`, tokens)
	began = time.Now()
	ask, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://x/v1/completions", strings.NewReader(body))
	if err != nil {
		b.Error(err)
		return began, began
	}
	ask.Header.Set("Content-Type", "application/json")
	ask.Header.Set(streamName, name)
	answer, err := c.Do(ask)
	if err != nil {
		b.Error(err)
		return began, began
	}
	defer answer.Body.Close()
	done := false
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if first.IsZero() && bytes.HasPrefix(lines.Bytes(), []byte("data:")) {
			first = time.Now()
		}
		done = done || lines.Text() == "data: [DONE]"
	}
	if !done {
		b.Errorf("%s: it does not end well", answer.Status)
	}
	return began, first
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
	stream(b, c, "", 1)
	took := time.Since(began)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait() // it was asked to end
	return took
}
