package process

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
)

// watch adds up for how long requests have waited for a process and heard nothing
// from it, also when one gives up and the next one comes. Only what is asked by
// POST counts: a process whose model hangs may well go on answering questions
// about itself.
type watch struct {
	mu      sync.Mutex
	waiting int           // requests that wait for the process, not for their client
	since   time.Time     // when something came or the first began to wait
	before  time.Duration // that others had waited in vain until then
}

func (w *watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting++; w.waiting == 1 {
		w.since = time.Now()
	}
}

func (w *watch) heard() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since, w.before = time.Now(), 0
}

func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting--; w.waiting == 0 {
		w.before += time.Since(w.since)
	}
}

// silence is for how long nothing came, and how many requests wait now.
func (w *watch) silence() (time.Duration, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == 0 {
		return w.before, 0
	}
	return w.before + time.Since(w.since), w.waiting
}

// watched is a round tripper whose requests are watched from the moment that they
// are sent whole: a client that is slow to send one is no fault of the process.
type watched struct {
	http.RoundTripper
	watch *watch
}

// RoundTrip sends the request and waits for the head of its answer.
func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost {
		return w.RoundTripper.RoundTrip(r)
	}
	t := &turn{watch: w.watch}
	if r.Body == nil || r.Body == http.NoBody {
		t.begin()
	} else {
		sent := *r
		sent.Body = &sending{r.Body, t}
		r = &sent
	}
	answer, err := w.RoundTripper.RoundTrip(r)
	t.end(err == nil)
	return answer, err
}

// turn is one request's wait, which begins and ends once, and not after its end.
type turn struct {
	watch        *watch
	mu           sync.Mutex
	begun, ended bool
}

func (t *turn) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.begun && !t.ended {
		t.begun = true
		t.watch.begin()
	}
}

func (t *turn) end(heard bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if heard {
		t.watch.heard()
	}
	if t.begun && !t.ended {
		t.watch.end()
	}
	t.ended = true
}

// sending is a body whose end begins the wait.
type sending struct {
	io.ReadCloser
	turn *turn
}

// Read reads the body.
func (s *sending) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err == io.EOF {
		s.turn.begin()
	}
	return n, err
}

// A process that computes, though it says nothing, is given so many times as
// long: a long prompt on a slow machine is no fault either.
const computingFactor = 6

// lookWithin bounds how long a process may take to say how far it is.
const lookWithin = 5 * time.Second

// hangs returns when the process has hung, with an error that says so, or nil
// when ctx ends. It has hung when for the time of [Options.Silence] nothing came
// from it though requests waited, it told of no progress, and did not compute
// either; or when nothing came for much longer.
func (l *life) hangs(ctx context.Context, c *child) error {
	most := l.server.options.Silence
	tick := time.NewTicker(max(most/8, time.Millisecond))
	defer tick.Stop()
	alive := time.Now() // when it last gave a sign of life, beside what requests hear
	var before look
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		silent, waiting := l.watch.silence()
		silent = min(silent, time.Since(alive))
		if silent < most/2 || waiting == 0 {
			before = look{}
			continue
		}
		now := l.look(ctx, c)
		switch {
		case before.at.IsZero():
			before = now
		case now.progress != "" && now.progress != before.progress:
			alive, before = now.at, look{}
		case silent >= most && !now.computes(before.use), silent >= computingFactor*most:
			return ops.Errorf(ops.CodeTimeout, "%s hung: nothing came from it for %s, though requests waited (%d), so that it was ended",
				l.server.options.Name, silent.Round(time.Second/10), waiting)
		}
	}
}

// look is what can be seen of a process from outside.
type look struct {
	use
	progress string // what it tells of how far it is, or ""
}

func (l *life) look(ctx context.Context, c *child) look {
	now := look{use: useOf(c)}
	path := l.server.options.Progress
	if path == "" {
		return now
	}
	ctx, cancel := context.WithTimeout(ctx, min(lookWithin, l.server.options.Silence/2))
	defer cancel()
	if answer, err := l.get(ctx, path); err == nil {
		text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
		_ = answer.Body.Close() // it was only read
		if err == nil && answer.StatusCode == http.StatusOK {
			now.progress = string(text)
		}
	}
	return now
}
