package modes_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rbee.dev/rbee/inference/enginetest"
	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/pacedtest"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// chain is a queen, a hive and a paced worker, and the ways to talk to them.
type chain struct {
	queen, direct *transport.Client
	socket        string // the worker's
	pid           int    // the queen's
	program, home string
}

// pacedProgram is the rbee that they are: no test binary, which takes longer to
// start.
var pacedProgram = sync.OnceValues(func() (string, error) {
	folder := filepath.Join(filepath.Dir(binary), "paced") // which ends with the tests
	if err := os.Mkdir(folder, 0o700); err != nil {
		return "", err
	}
	return pacedtest.Build(folder)
})

// newChain starts them.
func newChain(tb testing.TB, pace string, slots int) *chain {
	tb.Helper()
	exe, err := pacedProgram()
	if err != nil {
		tb.Fatal(err)
	}
	root := tb.TempDir()
	if dir := os.Getenv("RBEE_BENCH_HOME"); dir != "" {
		if root, err = os.MkdirTemp(dir, "rbee"); err != nil { //nolint:usetesting // where the person wants it
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = os.RemoveAll(root) })
	}
	run := func(args ...string) {
		tb.Helper()
		cmd := exec.Command(exe, args...)
		cmd.Env = append(os.Environ(), "RBEE_HOME="+root, "RBEE_LISTEN=127.0.0.1:0", "RBEE_QUEEN=", pacedtest.Pace+"="+pace)
		if out, err := cmd.CombinedOutput(); err != nil {
			tb.Fatalf("rbee %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	run("worker", "spawn", "tinybee", "--parallel", strconv.Itoa(slots))
	tb.Cleanup(func() { run("queen", "stop") })
	record, err := daemon.Read(filepath.Join(root, "state", "queen.pid"))
	if err != nil {
		tb.Fatal(err)
	}
	token, err := os.ReadFile(filepath.Join(root, "state", "queen.token"))
	if err != nil {
		tb.Fatal(err)
	}
	sockets, err := filepath.Glob(filepath.Join(root, "state", "workers", "*", "worker.sock"))
	if err != nil || len(sockets) != 1 {
		tb.Fatalf("workers: %v, %v", sockets, err)
	}
	c := &chain{
		queen:  transport.New(transport.Options{BaseURL: "http://" + record.Address, Token: strings.TrimSpace(string(token))}),
		direct: transport.New(transport.Unix(sockets[0])), socket: sockets[0], pid: record.PID, program: exe, home: root,
	}
	tb.Cleanup(c.queen.Close)
	tb.Cleanup(c.direct.Close)
	return c
}

// asked is how one answer came.
type asked struct {
	first time.Duration // to the first token
	whole time.Duration
	text  string
	err   error
}

func ask(ctx context.Context, c *transport.Client, tokens int) asked {
	return askFor(ctx, c, ops.Infer{Model: "tinybee", Prompt: "Once upon a time", MaxTokens: tokens})
}

func askFor(ctx context.Context, c *transport.Client, o ops.Infer) (a asked) {
	began := time.Now()
	var text strings.Builder
	_, a.err = c.Do(ctx, o, "", func(r transport.Received) error {
		if t, ok := r.Event.(ops.TokenEvent); ok {
			if text.Len() == 0 {
				a.first = time.Since(began)
			}
			text.WriteString(t.Text)
		}
		return nil
	})
	a.whole, a.text = time.Since(began), text.String()
	return a
}

// together asks for several answers, each so long after the one before.
func together(tb testing.TB, c *transport.Client, streams, tokens int, apart time.Duration) []asked {
	tb.Helper()
	all := make([]asked, streams)
	var running sync.WaitGroup
	for i := range all {
		running.Go(func() {
			time.Sleep(time.Duration(i) * apart)
			all[i] = ask(tb.Context(), c, tokens)
		})
	}
	running.Wait()
	for _, a := range all {
		if a.err != nil || a.text != enginetest.Text(tokens) {
			tb.Fatalf("%v: %q", a.err, a.text)
		}
	}
	return all
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

// BenchmarkChain compares a job through queen, hive and worker with the same job
// sent to the worker itself, turn and turn about: what it adds to the first
// token, and the share of the throughput that is left, of an engine that makes
// 100 tokens a second; and with the same job through two bare proxies in place of queen
// and hive, to tell the machine's part in that. Streams that begin 31 ms apart are what a busy queen sees;
// those that all begin at one moment wait for a processor above all.
func BenchmarkChain(b *testing.B) {
	for _, bench := range []struct {
		name    string
		streams int
		apart   time.Duration
	}{
		{"1 stream", 1, 0},
		{"32 streams", 32, 31 * time.Millisecond},
		{"32 streams at one moment", 32, 0},
	} {
		b.Run(bench.name, func(b *testing.B) {
			c := newChain(b, "10ms", bench.streams)
			bare := proxied(b, c.socket)
			var first, whole [3][]time.Duration
			compare := func(rounds, tokens int) {
				for range rounds {
					for i, client := range []*transport.Client{c.direct, c.queen, bare} {
						for _, a := range together(b, client, bench.streams, tokens, bench.apart) {
							first[i] = append(first[i], a.first)
							if tokens > 5 {
								whole[i] = append(whole[i], a.whole)
							}
						}
					}
				}
			}
			for b.Loop() {
				if bench.streams == 1 {
					compare(100, 5)
				}
				compare(10, 100)
			}
			added := func(i int) float64 { return (median(first[i]) - median(first[0])).Seconds() * 1000 }
			b.ReportMetric(added(1), "added-ms")
			b.ReportMetric(added(2), "proxies-add-ms")
			b.ReportMetric(float64(median(whole[0]))/float64(median(whole[1])), "throughput-share")
			b.ReportMetric(float64(first[1][len(first[1])*9/10]-first[0][len(first[0])*9/10])/1e6, "added-p90-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}
