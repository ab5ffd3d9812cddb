package fetch_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// other is the transport of a scheme of its own: it asks a server until it has been
// asked often enough, and fails from then on.
type other struct {
	host  string
	whole int32 // how often it asks
	err   error // from then on
	asked atomic.Int32
}

func (o *other) RoundTrip(r *http.Request) (*http.Response, error) {
	if o.asked.Add(1) > o.whole {
		return nil, o.err
	}
	there := r.Clone(r.Context())
	there.URL.Scheme, there.URL.Host = "http", o.host
	answer, err := http.DefaultTransport.RoundTrip(there)
	if err == nil {
		answer.Request = r
	}
	return answer, err
}

func TestASchemesOwnTransportSaysWhetherAFurtherTryHelps(t *testing.T) {
	down := ops.Errorf(ops.CodeUnavailable, "the other one is down").WithHint("start it")
	for _, c := range []struct {
		name        string
		err         error
		whole, asks int32
	}{
		{"it passes", fetch.Passing(down), 0, 4},
		{"it passes, on the way", fetch.Passing(down), 1, 1 + 4},
		{"it stays", fetch.Final(down), 0, 1},
		{"it stays, on the way", fetch.Final(down), 1, 1 + 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, 300_000)
			defer http.DefaultClient.CloseIdleConnections()
			by := &other{host: strings.TrimPrefix(s.URL, "http://"), whole: c.whole, err: c.err}
			o := quick()
			o.Connections, o.Schemes = 1, map[string]http.RoundTripper{"other": by}
			what := s.file()
			what.URL = "other://one/x.gguf"
			path := filepath.Join(t.TempDir(), "x.gguf")
			_, err := newFetcher(t, o).Fetch(t.Context(), what, path, unseen)
			wantCode(t, err, ops.CodeUnavailable)
			if e := ops.AsError(err); e.Message != down.Message || e.Hint != down.Hint {
				t.Errorf("it says %q, and %q", e.Message, e.Hint)
			}
			if n := by.asked.Load(); n != c.asks {
				t.Errorf("it was asked %d times, not %d", n, c.asks)
			}
			_, err = os.Stat(path)
			if kept := err == nil; kept != (c.whole > 0) {
				t.Errorf("what came is kept: %t", kept)
			}
		})
	}
}

// TestAServerThatWantsToBeLeftAloneForLongIsNotAskedAgain, however much of the file is
// here already.
func TestAServerThatWantsToBeLeftAloneForLongIsNotAskedAgain(t *testing.T) {
	s := newServer(t, 300_000)
	var asked atomic.Int32
	s.before = func(w http.ResponseWriter, _ *http.Request) bool {
		if asked.Add(1) == 1 {
			return false
		}
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}
	_, err := newFetcher(t, quick()).Fetch(t.Context(), s.file(), filepath.Join(t.TempDir(), "x.gguf"), unseen)
	wantCode(t, err, ops.CodeUnavailable)
	if n := asked.Load(); n != 2 || !strings.Contains(err.Error(), "asks to be left alone for 1h") {
		t.Errorf("asked %d times: %v", n, err)
	}
}
