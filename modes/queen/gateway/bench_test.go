package gateway

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
)

// role is set in the environment of a process that the benchmark starts from the
// test binary: mock is an engine that answers at once, proxy the standard
// library's reverse proxy before it, gateway the queen's server with the gateway
// before it. Each prints its address.
const role = "RBEE_TEST_GATEWAY_ROLE"

// play plays a role until standard input ends, and reports whether it did.
func play() bool {
	var h http.Handler
	target := os.Getenv(role + "_TARGET")
	switch os.Getenv(role) {
	case "mock":
		h = http.HandlerFunc(instant)
	case "drip":
		h = http.HandlerFunc(dripOrInstant)
	case "proxy":
		proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: target})
		proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 256}
		h = proxy
	case "gateway":
		daemon.CollectSeldom()
		dir, err := os.MkdirTemp("", "gateway")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		s, err := job.NewServer(job.Options[ops.Op]{Mode: "queen", Dir: dir, Admit: func(r *http.Request, _ string) (*http.Request, error) {
			return r.WithContext(WithGuest(r.Context(), &visitor{model: "bee", forgets: true})), nil
		}, Log: zerolog.Nop()})
		if err != nil {
			panic(err)
		}
		g := New(single(target), single(target).scheduler())
		for _, r := range Routes {
			s.Mount(r.Method, r.Path, g)
		}
		h = s
	default:
		return false
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // does not wait
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	go func() { _ = http.Serve(l, h) }() //nolint:gosec // ends with the process
	_, _ = io.Copy(io.Discard, os.Stdin)
	return true
}

// instant is an engine that has the answer ready.
func instant(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"bee","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}`)
}

// single is a fleet of one worker, at that address.
type single string

func (single) Workers() []ops.Worker {
	return []ops.Worker{{HiveID: "localhost", ID: "w", Model: "bee", State: ops.WorkerReady, Slots: 2 * manyStreams}}
}
func (single) Models(context.Context) []ops.Model   { return nil }
func (single) Aliases() map[string]string           { return nil }
func (single) JustPut(context.Context, string) bool { return false }
func (single) Bring(context.Context, string) (ops.Model, error) {
	return ops.Model{}, ops.Errorf(ops.CodeUnavailable, "there is one model only")
}

func (single) HasCard(string) bool { return false }

func (single) Unload(context.Context, ops.Worker) error { return nil }

func (s single) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", string(s))
}

// scheduler is one that knows that worker.
func (s single) scheduler() *schedule.Scheduler {
	list := schedule.New(schedule.Options{})
	list.Heard(ops.LocalHive, ops.HiveSnapshot{Workers: s.Workers()})
	return list
}

// begin starts a process in a role and returns its address and pid.
func begin(b *testing.B, as, target string) (addr string, pid int) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), role+"="+as, role+"_TARGET="+target)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line), cmd.Process.Pid
}

// took is how long one request takes.
func took(b *testing.B, c *http.Client, addr string, body []byte) time.Duration {
	began := time.Now()
	answer, err := c.Post("http://"+addr+"/v1/chat/completions", "application/json", bytes.NewReader(body)) //nolint:noctx // a benchmark
	if err != nil {
		b.Error(err)
		return 0
	}
	text, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil || answer.StatusCode != 200 {
		b.Errorf("%d %s %v", answer.StatusCode, text, err)
	}
	return time.Since(began)
}

// BenchmarkGateway compares the gateway with the engine itself and with the
// standard library's reverse proxy, request by request in turn: what each adds
// to the median and at the 99th percentile, and how many requests a second 64
// clients get through each.
func BenchmarkGateway(b *testing.B) {
	mock, _ := begin(b, "mock", "")
	proxy, _ := begin(b, "proxy", mock)
	gateway, _ := begin(b, "gateway", mock)
	ways := []string{mock, proxy, gateway}
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	b.Cleanup(c.CloseIdleConnections)
	for name, size := range map[string]int{"short prompt": 20, "prompt of 100 KB": 100_000} {
		body := fmt.Appendf(nil, `{"model":"bee","messages":[{"role":"user","content":%q}]}`, strings.Repeat("a word ", size/7))
		b.Run(name, func(b *testing.B) {
			var all [3][]time.Duration
			for b.Loop() {
				for range 2000 {
					for i, way := range ways {
						all[i] = append(all[i], took(b, c, way, body))
					}
				}
			}
			for i := range all {
				slices.Sort(all[i])
			}
			at := func(i, percent int) float64 { return float64(all[i][len(all[i])*percent/100].Nanoseconds()) / 1000 }
			b.ReportMetric(at(2, 50)-at(0, 50), "added-µs")
			b.ReportMetric(at(2, 99)-at(0, 50), "p99-µs")
			b.ReportMetric(at(1, 50)-at(0, 50), "proxy-added-µs")
			b.ReportMetric(at(1, 99)-at(0, 50), "proxy-p99-µs")
			b.ReportMetric(0, "ns/op")
		})
	}
	b.Run("64 clients", func(b *testing.B) {
		body := []byte(`{"model":"bee","messages":[{"role":"user","content":"hello"}]}`)
		var rates [3][]float64
		for b.Loop() {
			for range 5 {
				for i, way := range ways {
					rates[i] = append(rates[i], rate(b, c, way, body))
				}
			}
		}
		for i := range rates {
			slices.Sort(rates[i])
		}
		b.ReportMetric(rates[2][len(rates[2])/2], "req/s")
		b.ReportMetric(rates[2][len(rates[2])/2]/rates[1][len(rates[1])/2], "of-proxy")
		b.ReportMetric(0, "ns/op")
	})
}

// rate is how many requests a second 64 clients get through.
func rate(b *testing.B, c *http.Client, addr string, body []byte) float64 {
	const clients, within = 64, time.Second
	var n atomic.Int64
	var all sync.WaitGroup
	end := time.Now().Add(within)
	for range clients {
		all.Go(func() {
			for time.Now().Before(end) {
				took(b, c, addr, body)
				n.Add(1)
			}
		})
	}
	all.Wait()
	return float64(n.Load()) / within.Seconds()
}
