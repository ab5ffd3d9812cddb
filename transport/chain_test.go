package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// runner does an operation, as job.Options.Run.
type runner func(ctx context.Context, o ops.HiveOp) (any, error)

// station is a real job server on a Unix socket that can be restarted.
type station struct {
	mode, socket, jobs string
	run                runner
	server             *job.Server[ops.HiveOp]
	http               *http.Server
	served             chan struct{}
}

func newStation(t *testing.T, mode string, run runner) *station {
	t.Helper()
	dir := t.TempDir()
	s := &station{mode: mode, socket: filepath.Join(dir, "s"), jobs: filepath.Join(dir, "jobs"), run: run}
	s.start(t)
	t.Cleanup(func() {
		_ = s.server.Stop(context.WithoutCancel(t.Context()))
		s.close()
	})
	return s
}

func (s *station) start(t *testing.T) {
	t.Helper()
	var err error
	s.server, err = job.NewServer(job.Options[ops.HiveOp]{Mode: s.mode, Dir: s.jobs, Run: s.run, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	l, err := transport.ListenUnix(s.socket)
	if err != nil {
		t.Fatal(err)
	}
	s.http, s.served = &http.Server{Handler: s.server}, make(chan struct{})
	go func() {
		defer close(s.served)
		_ = s.http.Serve(l)
	}()
}

func (s *station) close() {
	_ = s.http.Close()
	<-s.served
}

// restart ends the server as a restart of its daemon does, and starts the next.
func (s *station) restart(t *testing.T) {
	t.Helper()
	if err := s.server.Detach(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.close()
	s.start(t)
}

func (s *station) client(t *testing.T) *transport.Client {
	t.Helper()
	o := transport.Unix(s.socket)
	o.Name = "the " + s.mode
	c := transport.New(o)
	t.Cleanup(c.Close)
	return c
}

// forwarding does every operation at the next station.
func forwarding(next *transport.Client, target string) runner {
	return func(ctx context.Context, o ops.HiveOp) (any, error) {
		return transport.Forward(ctx, next, target, o)
	}
}

// teller says max_tokens words when told to go on, for each word once.
func teller(step <-chan struct{}) runner {
	return func(ctx context.Context, o ops.HiveOp) (any, error) {
		var text strings.Builder
		for i := range o.(ops.Infer).MaxTokens {
			select {
			case <-step:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
			word := fmt.Sprintf("%d ", i)
			ops.Emit(ctx, ops.TokenEvent{Text: word})
			text.WriteString(word)
		}
		return ops.Answer{Text: text.String()}, nil
	}
}

// always is a channel that is always ready.
func always() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func TestOneJobRunsThroughTheChainUnderOneID(t *testing.T) {
	worker := newStation(t, "worker", teller(always()))
	hive := newStation(t, "hive", forwarding(worker.client(t), "w1"))
	queen := newStation(t, "queen", forwarding(hive.client(t), "localhost"))
	var text strings.Builder
	raw, err := queen.client(t).Do(t.Context(), ops.Infer{Prompt: "Once", MaxTokens: 50}, jobID, func(r transport.Received) error {
		text.WriteString(r.Event.(ops.TokenEvent).Text)
		return nil
	})
	if err != nil || !strings.Contains(string(raw), text.String()) {
		t.Errorf("Do() = %s, %v; the tokens said %q", raw, err, text.String())
	}
	for _, s := range []*station{queen, hive, worker} {
		if j, err := s.client(t).Job(t.Context(), jobID); err != nil || j.State != ops.JobCompleted {
			t.Errorf("at the %s the job is %+v, %v", s.mode, j, err)
		}
	}
}

func TestAStreamGoesOnThroughRestartsOfTheStationsBetween(t *testing.T) {
	const words = 60
	step := make(chan struct{})
	worker := newStation(t, "worker", teller(step))
	hive := newStation(t, "hive", forwarding(worker.client(t), "w1"))
	queen := newStation(t, "queen", forwarding(hive.client(t), "localhost"))
	c := queen.client(t)
	if _, err := c.Submit(t.Context(), ops.Infer{Prompt: "Once", MaxTokens: words}, jobID); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	n := 0
	stepping := func() {
		select {
		case step <- struct{}{}:
		case <-t.Context().Done():
		}
	}
	var wait sync.WaitGroup
	wait.Go(stepping)
	for r, err := range c.Follow(t.Context(), jobID, 0) {
		if err != nil {
			t.Fatal(err)
		}
		word, ok := r.Event.(ops.TokenEvent)
		if !ok {
			continue
		}
		text.WriteString(word.Text)
		if n++; n < words {
			wait.Go(stepping)
		}
		switch n % 20 {
		case 5:
			hive.restart(t)
		case 15:
			queen.restart(t)
		}
	}
	wait.Wait()
	var want strings.Builder
	for i := range words {
		fmt.Fprintf(&want, "%d ", i)
	}
	if text.String() != want.String() {
		t.Errorf("the reader got %q, want %q", text.String(), want.String())
	}
}

func TestCancellingReachesTheEndOfTheChain(t *testing.T) {
	why := make(chan error, 1)
	worker := newStation(t, "worker", func(ctx context.Context, _ ops.HiveOp) (any, error) {
		ops.Narrate(ctx, "infer_start", "thinking")
		<-ctx.Done()
		why <- context.Cause(ctx)
		ops.Narrate(ctx, "infer_end", "tired")
		return nil, context.Cause(ctx)
	})
	hive := newStation(t, "hive", forwarding(worker.client(t), "w1"))
	queen := newStation(t, "queen", forwarding(hive.client(t), "localhost"))
	c := queen.client(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var said []string
	_, err := c.Do(ctx, ops.Infer{Prompt: "Once"}, "another-job-of-the-test", func(r transport.Received) error {
		said = append(said, r.Event.(ops.NarrationEvent).Human)
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || !slices.Equal(said, []string{"thinking", "tired"}) {
		t.Errorf("whoever gave up heard %q and gets %v", said, err)
	}
	if err := <-why; ops.CodeOf(err) != ops.CodeCancelled {
		t.Errorf("the worker's job ended by %v, want cancelled", err)
	}
	_, err = c.Do(t.Context(), ops.Infer{Prompt: "Once"}, jobID, func(transport.Received) error {
		_, err := c.Cancel(t.Context(), jobID)
		return err
	})
	if ops.CodeOf(err) != ops.CodeCancelled {
		t.Errorf("Do() = %v, want cancelled", err)
	}
	if err := <-why; ops.CodeOf(err) != ops.CodeCancelled {
		t.Errorf("the worker's job ended by %v, want cancelled", err)
	}
}

func TestAnErrorPassesTheChainWhole(t *testing.T) {
	want := ops.Errorf(ops.CodeNotFound, "there is no model %q", "tinybea").WithHint("did you mean tinybee?")
	want.Field = "model"
	worker := newStation(t, "worker", func(context.Context, ops.HiveOp) (any, error) { return nil, want })
	hive := newStation(t, "hive", forwarding(worker.client(t), "w1"))
	_, err := transport.Call(t.Context(), hive.client(t), ops.Infer{Prompt: "Once"})
	got := ops.AsError(err)
	if got.Code != want.Code || got.Message != want.Message || got.Field != want.Field || got.Hint != want.Hint {
		t.Errorf("Call() = %+v, want %+v", got, want)
	}
}

func TestAThousandStreamsAtOnceArriveWhole(t *testing.T) {
	jobs := 1000
	if testing.Short() {
		jobs = 100
	}
	const words = 10
	worker := newStation(t, "worker", teller(always()))
	hive := newStation(t, "hive", forwarding(worker.client(t), "w1"))
	c := hive.client(t)
	var want strings.Builder
	for i := range words {
		fmt.Fprintf(&want, "%d ", i)
	}
	var wait sync.WaitGroup
	var wrong atomic.Int32
	for range jobs {
		wait.Go(func() {
			here := &sink{}
			answer, err := transport.Call(ops.WithSink(t.Context(), here), c, ops.Infer{Prompt: "Once", MaxTokens: words})
			var text strings.Builder
			for _, e := range here.events {
				text.WriteString(e.(ops.TokenEvent).Text)
			}
			if err != nil || answer.Text != want.String() || text.String() != want.String() {
				if wrong.Add(1) == 1 {
					t.Errorf("got %q and %q, %v", answer.Text, text.String(), err)
				}
			}
		})
	}
	wait.Wait()
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d of %d jobs went wrong", n, jobs)
	}
}

// BenchmarkHop measures what one station in between adds to the first token.
func BenchmarkHop(b *testing.B) {
	for hops := range 3 {
		b.Run(fmt.Sprintf("%d", hops), func(b *testing.B) {
			b.ReportAllocs()
			c := benchChain(b, hops)
			var first time.Duration
			for b.Loop() {
				began := time.Now()
				heard := false
				_, err := c.Do(b.Context(), ops.Infer{Prompt: "Once", MaxTokens: 1}, "", func(transport.Received) error {
					if !heard {
						first += time.Since(began)
						heard = true
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(first.Microseconds())/float64(b.N), "µs/first-token")
		})
	}
}

// benchChain is a client of a teller behind a number of forwarding stations.
func benchChain(b *testing.B, hops int) *transport.Client {
	b.Helper()
	run := teller(always())
	var c *transport.Client
	for range hops + 1 {
		server, err := job.NewServer(job.Options[ops.HiveOp]{Mode: "hive", Dir: b.TempDir(), Run: run, Log: zerolog.Nop(), MaxFinished: 10})
		if err != nil {
			b.Fatal(err)
		}
		path := filepath.Join(b.TempDir(), "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			b.Fatal(err)
		}
		served := make(chan struct{})
		h := &http.Server{Handler: server}
		go func() { _ = h.Serve(l); close(served) }()
		c = transport.New(transport.Unix(path))
		client := c
		b.Cleanup(func() {
			client.Close()
			_ = server.Stop(context.WithoutCancel(b.Context()))
			_ = h.Close()
			<-served
		})
		run = forwarding(c, "next")
	}
	return c
}
