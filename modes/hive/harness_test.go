package hive_test

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/hive"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// newHome makes a home in a temporary folder, also for the workers.
func newHome(t testing.TB) home.Home {
	t.Helper()
	return newHomeIn(t, t.TempDir())
}

func newHomeIn(t testing.TB, dir string) home.Home {
	t.Helper()
	t.Setenv("RBEE_HOME", dir)
	h, err := home.Find(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := daemon.KillLeftovers(h); err != nil {
			t.Error(err)
		}
	})
	return h
}

// client is a client of the home's hive, whichever process that is.
func client(t testing.TB, h home.Home) *transport.Client {
	t.Helper()
	o := transport.Unix(h.HiveSocket())
	o.Name, o.Patience = "the hive", 10*time.Second
	c := transport.New(o)
	t.Cleanup(c.Close)
	return c
}

// running is a hive in this process; its workers are processes.
type running struct {
	*transport.Client
	home home.Home
	stop func(scope daemon.Scope)
}

// start runs a hive in a home of its own.
func start(t *testing.T) running {
	t.Helper()
	h := newHome(t)
	return running{Client: client(t, h), home: h, stop: run(t, h)}
}

// run runs a hive in this process and returns how to stop it.
func run(t testing.TB, h home.Home, change ...func(*hive.Options)) (stop func(daemon.Scope)) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := hive.Options{Home: h, Name: "localhost", Binary: exe, Log: zerolog.New(zerolog.NewTestWriter(t))}
	for _, f := range change {
		f(&o)
	}
	hv, err := hive.New(o)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	go func() { done <- hv.Run(ctx) }()
	c := client(t, h)
	stopped := false
	stop = func(scope daemon.Scope) {
		if stopped {
			return
		}
		stopped = true
		if scope == daemon.ScopeSelf {
			if err := c.Post(t.Context(), daemon.ShutdownPath, daemon.Shutdown{Scope: scope}, nil); err != nil {
				t.Error(err)
			}
		} else {
			cancel() // ends what it started too
		}
		if err := <-done; err != nil {
			t.Errorf("the hive ends with %v", err)
		}
		cancel()
	}
	t.Cleanup(func() { stop(daemon.ScopeAll) })
	return stop
}

// heard is what a job said.
type heard struct {
	text    string   // its tokens
	story   []string // its narration
	answer  ops.Answer
	pieces  int
	err     error
	onToken func(n int) // called after each token with their number
}

// follow follows a job from its beginning to its end.
func (h *heard) follow(ctx context.Context, c *transport.Client, id string) {
	var text strings.Builder
	defer func() { h.text = text.String() }()
	for r, err := range c.Follow(ctx, id, 0) {
		if err != nil {
			h.err = err
			return
		}
		switch e := r.Event.(type) {
		case ops.TokenEvent:
			text.WriteString(e.Text)
			h.pieces++
			if h.onToken != nil {
				h.onToken(h.pieces)
			}
		case ops.NarrationEvent:
			h.story = append(h.story, e.Actor+": "+e.Human)
		case ops.ErrorEvent:
			h.err = &e.Error
		case ops.ResultEvent:
			h.err = json.Unmarshal(e.Raw, &h.answer)
		case ops.EndEvent, ops.ProgressEvent:
		}
	}
}

// infer runs o to its end; onToken may be nil.
func infer(t *testing.T, c *transport.Client, o ops.Infer, onToken func(n int)) heard {
	t.Helper()
	h := heard{onToken: onToken}
	accepted, err := c.Submit(t.Context(), o, "")
	if err != nil {
		h.err = err
		return h
	}
	h.follow(t.Context(), c, accepted.JobID)
	return h
}

// do runs an operation that must not fail.
func do[R any](t *testing.T, c *transport.Client, o ops.Returning[R]) R {
	t.Helper()
	r, err := transport.Call(t.Context(), c, o)
	if err != nil {
		t.Fatalf("%s: %v", o.Name(), err)
	}
	return r
}

// fails runs an operation that must fail, and checks how.
func fails[R any](t *testing.T, c *transport.Client, o ops.Returning[R], code ops.Code, says ...string) *ops.Error {
	t.Helper()
	r, err := transport.Call(t.Context(), c, o)
	if err == nil {
		t.Fatalf("%s gives %+v", o.Name(), r)
	}
	wantError(t, err, code, says...)
	return ops.AsError(err)
}

func wantError(t *testing.T, err error, code ops.Code, says ...string) {
	t.Helper()
	if ops.CodeOf(err) != code {
		t.Errorf("got %v (%s), want %s", err, ops.CodeOf(err), code)
		return
	}
	for _, s := range says {
		if e := ops.AsError(err); !strings.Contains(e.Error(), s) && !strings.Contains(e.Hint, s) {
			t.Errorf("%q (hint %q) does not say %q", e.Error(), e.Hint, s)
		}
	}
}

// await returns the first published state that is wanted.
func await(t *testing.T, c *transport.Client, wanted func(ops.HiveSnapshot) bool) ops.HiveSnapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for text, err := range c.State(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		var s ops.HiveSnapshot
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
		if wanted(s) {
			return s
		}
	}
	t.Fatal("the state stream ended")
	return ops.HiveSnapshot{}
}

// kill ends a worker's process as the kernel would.
func kill(t *testing.T, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Error(err)
	}
}
