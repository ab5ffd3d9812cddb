package modes_test

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"rbee.dev/rbee/modes/pacedtest"
)

// ends listens for how the requests of engines end, which are started after it.
func ends(tb testing.TB) <-chan pacedtest.Ended {
	tb.Helper()
	dir, err := os.MkdirTemp("", "ends") //nolint:usetesting // a socket's path must be short
	if err != nil {
		tb.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s")) //nolint:noctx // it is closed
	if err != nil {
		tb.Fatal(err)
	}
	tb.Setenv(pacedtest.EndsTo, l.Addr().String())
	told, over := make(chan pacedtest.Ended, 100), make(chan struct{})
	go func() {
		defer close(over)
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			var e pacedtest.Ended
			if json.NewDecoder(from).Decode(&e) == nil {
				told <- e
			}
			_ = from.Close()
		}
	}()
	tb.Cleanup(func() {
		_ = l.Close()
		<-over
		_ = os.RemoveAll(dir)
	})
	return told
}

// goAway are the ways in which a client has an answer begin, and goes away in the
// middle: go returns when it has.
func goAway(tb testing.TB, c *chain) map[string]func() (left time.Time) {
	return map[string]func() time.Time{
		"from the API": func() time.Time {
			body, _, err := c.queen.Open(tb.Context(), "/v1/completions", map[string]any{"model": "tinybee", "prompt": "x", "max_tokens": 1_000_000, "stream": true})
			if err != nil {
				tb.Fatal(err)
			}
			lines := bufio.NewScanner(body)
			for n := 0; n < 20 && lines.Scan(); n++ { // into the middle
				continue
			}
			left := time.Now()
			_ = body.Close()
			return left
		},
		"from a job": func() time.Time {
			cmd := exec.Command(c.program, "infer", "--max-tokens", "1000000", "x")
			cmd.Env = append(os.Environ(), "RBEE_HOME="+c.home, "RBEE_QUEEN=", pacedtest.Pace+"=5ms")
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				tb.Fatal(err)
			}
			some := make([]byte, 20)
			if _, err := out.Read(some); err != nil {
				tb.Fatal(err)
			}
			left := time.Now()
			_ = cmd.Process.Signal(os.Interrupt)
			_ = cmd.Wait() // 130, which other tests look at
			return left
		},
	}
}

// TestAnEngineStopsWhenItsClientGoesAway: hundreds of thousands of tokens before
// its end. How soon it is, a benchmark says.
func TestAnEngineStopsWhenItsClientGoesAway(t *testing.T) {
	told := ends(t)
	c := newChain(t, "5ms", 4)
	for name, leave := range goAway(t, c) {
		t.Run(name, func(t *testing.T) {
			leave()
			if e := <-told; !e.Cancelled || e.Pieces < 1 || e.Pieces > 1000 {
				t.Errorf("the engine's request ended so: %+v", e)
			}
		})
	}
}

// BenchmarkCancel measures from a client's going away to the end of its request
// in the engine: through the whole chain, for which 100 ms are allowed.
func BenchmarkCancel(b *testing.B) {
	told := ends(b)
	c := newChain(b, "5ms", 4)
	for name, leave := range goAway(b, c) {
		b.Run(name, func(b *testing.B) {
			var list []time.Duration
			for b.Loop() {
				left := leave()
				<-told
				list = append(list, time.Since(left))
			}
			report(b, list)
		})
	}
}
