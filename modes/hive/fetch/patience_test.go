package fetch_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// told keeps what is narrated, and closes heard at the first of an action.
type told struct {
	action string
	heard  chan struct{}
	once   sync.Once
	mu     sync.Mutex
	lines  []string
}

var _ ops.Sink = (*told)(nil)

func newTold(action string) *told { return &told{action: action, heard: make(chan struct{})} }

func (s *told) JobID() string                  { return "a-job-of-the-tests-1" }
func (s *told) Mark(e ops.Event, _ ops.Cursor) { s.Emit(e) }
func (s *told) Cursor() ops.Cursor             { return ops.Cursor{} }

// Emit keeps a narration.
func (s *told) Emit(e ops.Event) {
	n, ok := e.(ops.NarrationEvent)
	if !ok {
		return
	}
	s.mu.Lock()
	s.lines = append(s.lines, n.Human)
	s.mu.Unlock()
	if n.Action == s.action {
		s.once.Do(func() { close(s.heard) })
	}
}

// all is everything that was narrated.
func (s *told) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// hang answers with what came before, and then with nothing until the client has
// gone.
func hang(w http.ResponseWriter, r *http.Request, before string) bool {
	if before != "" {
		w.Header().Set("Content-Length", "100000")
		_, _ = w.Write([]byte(before))
		_ = http.NewResponseController(w).Flush()
	}
	<-r.Context().Done()
	return true
}

func TestAServerThatSaysNothingIsGivenUpAfterAWhile(t *testing.T) {
	for _, c := range []struct{ name, before, says string }{
		{"not even a header", "", "nothing has come from 127.0.0.1"},
		{"nothing more", "GGUF and a little more", "the download broke off at 22 bytes: nothing has come from 127.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, 1000)
			var asked atomic.Int32
			s.before = func(w http.ResponseWriter, r *http.Request) bool { asked.Add(1); return hang(w, r, c.before) }
			o := quick()
			o.Tries, o.Stalled = 10, 50*time.Millisecond
			dir := t.TempDir()
			_, err := newFetcher(t, o).Fetch(t.Context(), s.file(), filepath.Join(dir, "x.gguf"), unseen)
			wantCode(t, err, ops.CodeUnavailable)
			if e := ops.AsError(err); !strings.Contains(e.Error(), c.says) || !strings.Contains(e.Error(), "for 50ms") || !strings.Contains(e.Hint, "try again later") {
				t.Errorf("%q, hint %q", e.Error(), e.Hint)
			}
			if n := asked.Load(); n < 2 || n > 4 {
				t.Errorf("the server was asked %d times", n)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("it leaves %v, %v", left, err)
			}
		})
	}
	s := newServer(t, 1000)
	s.before = func(w http.ResponseWriter, r *http.Request) bool { return hang(w, r, "") }
	o := quick()
	o.Stalled = 50 * time.Millisecond
	o.Env = func(key string) string { return map[string]string{"HF_ENDPOINT": s.URL}[key] }
	f := newFetcher(t, o)
	_, ofList := f.Hub(t.Context(), "hf:bees/tiny", fetch.Room{Memory: 0})
	_, ofText := f.Text(t.Context(), fetch.File{URL: s.URL + "/x"}, 100)
	for _, err := range []error{ofList, ofText} {
		wantCode(t, err, ops.CodeUnavailable)
		if e := ops.AsError(err); !strings.Contains(e.Error(), "nothing has come from 127.0.0.1") || e.Hint == "" {
			t.Errorf("%q, hint %q", e.Error(), e.Hint)
		}
	}
}

func TestADownloadGoesOnAfterASilenceInItsMiddle(t *testing.T) {
	s := newServer(t, 300_000)
	var once sync.Once
	s.before = func(w http.ResponseWriter, r *http.Request) (hangs bool) {
		once.Do(func() {
			w.Header().Set("ETag", s.tag)
			w.Header().Set("Content-Range", "bytes 0-65535/300000")
			w.Header().Set("Content-Length", "65536")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(s.data[:40_000])
			_ = http.NewResponseController(w).Flush()
			hangs = hang(w, r, "")
		})
		return hangs
	}
	o := quick()
	o.Tries, o.Stalled = 100, 500*time.Millisecond
	said := newTold("model_retry")
	path := filepath.Join(t.TempDir(), "x.gguf")
	got, err := newFetcher(t, o).Fetch(ops.WithSink(t.Context(), said), s.file(), path, unseen)
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, got, s.data)
	if n := s.sentSince(); n > len(s.data)-40_000 {
		t.Errorf("the server sent %d bytes again", n-(len(s.data)-40_000))
	}
	if !strings.Contains(said.all(), "broke off at 40000 bytes: nothing has come") {
		t.Errorf("it says %q", said.all())
	}
}

func TestACancelledDownloadEndsWhateverItWaitsFor(t *testing.T) {
	for _, c := range []struct {
		name, after string // what it says before it is cancelled
		answer      func(w http.ResponseWriter, r *http.Request) bool
	}{
		{"a header", "server_silent", func(w http.ResponseWriter, r *http.Request) bool { return hang(w, r, "") }},
		{"more", "server_silent", func(w http.ResponseWriter, r *http.Request) bool { return hang(w, r, "GGUF") }},
		{"its turn", "model_retry", func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "300")
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, 1000)
			s.before = c.answer
			said := newTold(c.after)
			o := quick()
			o.Stalled, o.Hush = time.Hour, time.Millisecond
			ctx, cancel := context.WithCancelCause(ops.WithSink(t.Context(), said))
			defer cancel(nil)
			var waiting sync.WaitGroup
			waiting.Go(func() {
				<-said.heard
				cancel(ops.Errorf(ops.CodeCancelled, "enough"))
			})
			_, err := newFetcher(t, o).Fetch(ctx, s.file(), filepath.Join(t.TempDir(), "x.gguf"), unseen)
			waiting.Wait()
			wantCode(t, err, ops.CodeCancelled)
		})
	}
}

func TestThatNothingComesIsSaidMeanwhile(t *testing.T) {
	said := newTold("server_silent")
	s := newServer(t, 1000)
	s.before = func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-said.heard:
		case <-r.Context().Done():
		}
		return false
	}
	o := quick()
	o.Hush = time.Millisecond
	ctx, cancel := context.WithCancel(ops.WithSink(t.Context(), said))
	defer cancel()
	path := filepath.Join(t.TempDir(), "x.gguf")
	got, err := newFetcher(t, o).Fetch(ctx, s.file(), path, unseen)
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, got, s.data)
	if !strings.Contains(said.all(), "nothing has come from 127.0.0.1") || !strings.Contains(said.all(), "for 1ms: waiting") {
		t.Errorf("it says %q", said.all())
	}
}
