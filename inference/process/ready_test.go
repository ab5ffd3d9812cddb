package process

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
)

func TestAStartThatDoesNothingIsGivenUp(t *testing.T) {
	for _, c := range []struct{ how, says string }{
		{"never", "and answers /health with 503 Service Unavailable; its last lines: fake: starting | fake: listening"},
		{"deaf", "and does not listen at "},
		{"deaf stubborn", "its last lines: fake: starting"},
		{"never busy", "it only computed for "},
		{"wrong", "and answers /health with 404 Not Found; its last lines: "},
	} {
		t.Run(c.how, func(t *testing.T) {
			o := fake(t, c.how)
			o.Stall, o.Patience = 500*time.Millisecond, 100*time.Millisecond
			_, err := Start(t.Context(), o)
			if err == nil || !strings.HasPrefix(err.Error(), "fake-server was given up: not ready after ") || !strings.Contains(err.Error(), c.says) || ops.CodeOf(err) != ops.CodeUnavailable {
				t.Errorf("got %v", err)
			}
			if d, ok := errors.AsType[*Death](err); ok && strings.Contains(strings.Join(d.Lines, "\n"), "GET /health") {
				t.Errorf("its lines tell of what it was asked: %q", d.Lines)
			}
		})
	}
}

// TestAStartThatReadsIsWaitedFor: until the one who waits gives up.
func TestAStartThatReadsIsWaitedFor(t *testing.T) {
	o := fake(t, "never reader")
	o.Stall, o.Patience = 2*time.Second, 100*time.Millisecond
	enough := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 2*o.Stall, enough)
	defer cancel()
	if _, err := Start(ctx, o); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}

// startupOf is the start of a process that is gone: it neither computes nor reads.
func startupOf(o Options) *startup {
	l := (&Server{options: o}).newLife()
	l.output = newTail([]string{"/health"})
	return newStartup(l, &child{pid: 1 << 30})
}

func TestWhatAStartWaitsForIsToldNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		s := startupOf(Options{Name: "vllm", Waits: func(what string) { told = append(told, what) }})
		write := func(text string) { _, _ = s.life.output.Write([]byte(text)) }
		for range 25 { // seconds
			time.Sleep(time.Second)
			write("INFO: 127.0.0.1 - \"GET /health HTTP/1.1\" 503\n")
			if !s.goesOn(finding{is: "answers /health with 503"}) {
				t.Fatal("it is given up, which it is not to be")
			}
			if len(told) == 1 {
				write("2026-11-24 01:02:03,456 loaded 3 of 9\n")
			}
		}
		want := []string{
			"vllm is not ready after 10s: it answers /health with 503",
			"vllm is not ready after 20s: it answers /health with 503; its last line: loaded 3 of 9",
		}
		if strings.Join(told, "\n") != strings.Join(want, "\n") {
			t.Errorf("it is told %q, want %q", told, want)
		}
	})
}

// TestAStartThatWritesIsWaitedFor: what the process does beside that is not known
// here, which counts as computing.
func TestAStartThatWritesIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startupOf(Options{Name: "vllm", Stall: time.Minute, Waits: func(string) {}})
		lasts := func(line string) time.Duration {
			began := time.Now()
			for s.goesOn(finding{is: "does not listen"}) && time.Since(began) < 20*time.Minute {
				_, _ = s.life.output.Write([]byte(line))
				time.Sleep(time.Second)
			}
			return time.Since(began).Round(time.Minute)
		}
		if got := lasts("loading\n"); got != 20*time.Minute {
			t.Errorf("one that writes is given up after %s", got)
		}
		if got := lasts("GET /health 503\n"); got != computingFactor*time.Minute {
			t.Errorf("one that only tells that it was asked is given up after %s", got)
		}
	})
}

func TestReadingIsMoreThanAnsweringQuestions(t *testing.T) {
	second := func(read uint64) (before, after use) {
		at := time.Now()
		return use{at: at, known: true}, use{at: at.Add(time.Second), known: true, read: read}
	}
	for read, want := range map[uint64]bool{0: false, 1000: false, 1 << 20: true} {
		if before, after := second(read); after.reads(before) != want {
			t.Errorf("%d bytes in a second: %v", read, !want)
		}
	}
}
