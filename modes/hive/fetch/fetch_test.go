package fetch_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// wantFile checks that the file at path is data and got tells so.
func wantFile(t *testing.T, path string, got fetch.Result, data []byte) {
	t.Helper()
	got.Validator = "" // which is the server's
	if diff := cmp.Diff(fetch.Result{Size: int64(len(data)), SHA256: sumOf(data)}, got); diff != "" {
		t.Errorf("the result: %s", diff)
	}
	if text, err := os.ReadFile(path); err != nil || !bytes.Equal(text, data) {
		t.Errorf("%d bytes that differ, or %v", len(text), err)
	}
}

func TestAFileComesWholeHoweverTheServerIs(t *testing.T) {
	for _, c := range []struct {
		name  string
		size  int
		spoil func(*server)
	}{
		{"small", 1000, func(*server) {}},
		{"several pieces", 300_000, func(*server) {}},
		{"several connections", 3 << 20, func(*server) {}},
		{"no ranges", 300_000, func(s *server) { s.noRange = true }},
		{"no ETag", 300_000, func(s *server) { s.tag = "" }},
		{"cut again and again", 300_000, func(s *server) { s.cut, s.cuts = 10_000, 8 }},
		{"several connections, cut", 3 << 20, func(s *server) { s.cut, s.cuts = 30_000, 9 }},
		{"no ranges, cut", 300_000, func(s *server) { s.noRange, s.cut, s.cuts = true, 100_000, 2 }},
		{"busy at first", 300_000, func(s *server) {
			var n atomic.Int32
			s.before = func(w http.ResponseWriter, _ *http.Request) bool {
				busy := n.Add(1) <= 2
				if busy {
					w.WriteHeader([]int{http.StatusTooManyRequests, http.StatusBadGateway}[n.Load()%2])
				}
				return busy
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, c.size)
			c.spoil(s)
			path := filepath.Join(t.TempDir(), "x.gguf")
			var last atomic.Int64
			got, err := newFetcher(t, quick()).Fetch(t.Context(), s.file(), path, func(done, _ int64) { last.Store(max(last.Load(), done)) })
			if err != nil {
				t.Fatal(err)
			}
			wantFile(t, path, got, s.data)
			if last.Load() != int64(c.size) {
				t.Errorf("the last progress is %d", last.Load())
			}
		})
	}
}

// begin downloads until half of the file is there, and is cancelled then.
func begin(t *testing.T, s *server, path string) {
	t.Helper()
	beginAs(t, s.file(), path)
}

func beginAs(t *testing.T, what fetch.File, path string) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	o := quick()
	o.Connections = 1
	_, err := newFetcher(t, o).Fetch(ctx, what, path, func(done, total int64) {
		if done > total/2 {
			cancel(ops.Errorf(ops.CodeCancelled, "enough"))
		}
	})
	wantCode(t, err, ops.CodeCancelled)
}

func TestADownloadGoesOnWhereAnEarlierOneWasCut(t *testing.T) {
	s := newServer(t, 8<<20)
	path := filepath.Join(t.TempDir(), "x.gguf")
	begin(t, s, path)
	s.sentSince()
	got, err := newFetcher(t, quick()).Fetch(t.Context(), s.file(), path, unseen)
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, got, s.data)
	if n := s.sentSince(); n > len(s.data)*3/4 {
		t.Errorf("the server sent %d of %d bytes again", n, len(s.data))
	}
	if again, err := newFetcher(t, quick()).Fetch(t.Context(), s.file(), path, unseen); err != nil || again != got || s.sentSince() > 0 {
		t.Errorf("once more: %+v, %v", again, err)
	}
}

func TestADownloadGoesOnHoweverTheClocksAre(t *testing.T) {
	for name, clock := range map[string]time.Time{"years behind": time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), "years ahead": time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, 8<<20)
			s.tag, s.changed = "", clock // the time is all that tells that it is still the same file
			s.before = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Date", clock.Format(http.TimeFormat))
				return false
			}
			path := filepath.Join(t.TempDir(), "x.gguf")
			begin(t, s, path)
			s.sentSince()
			if err := os.Chtimes(path+".state", clock, clock); err != nil { // ours was another when it began
				t.Fatal(err)
			}
			got, err := newFetcher(t, quick()).Fetch(t.Context(), s.file(), path, unseen)
			if err != nil {
				t.Fatal(err)
			}
			wantFile(t, path, got, s.data)
			if n := s.sentSince(); n > len(s.data)*3/4 {
				t.Errorf("the server sent %d of %d bytes again", n, len(s.data))
			}
		})
	}
}

func TestAFileThatHasChangedIsDownloadedAnew(t *testing.T) {
	s := newServer(t, 8<<20)
	path := filepath.Join(t.TempDir(), "x.gguf")
	begin(t, s, path)
	s.mu.Lock()
	s.data, s.tag = content(2, 7<<20), `"two"`
	s.mu.Unlock()
	got, err := newFetcher(t, quick()).Fetch(t.Context(), s.file(), path, unseen)
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, got, s.data)
}

// answering spoils a server: it answers with that status, a header and nothing else.
func answering(status int, header ...string) func(*server, *fetch.File) {
	return func(s *server, _ *fetch.File) {
		s.before = func(w http.ResponseWriter, _ *http.Request) bool {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			return true
		}
	}
}

func TestWhatCannotBeRightIsRefusedAndNothingStays(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*server, *fetch.File)
		code  ops.Code
		says  string
	}{
		{"another sum", func(_ *server, f *fetch.File) { f.SHA256 = strings.Repeat("0", 64) }, ops.CodeUnavailable, "its SHA-256 is"},
		{"another size", func(_ *server, f *fetch.File) { f.Size = 5 }, ops.CodeUnavailable, "but should have 5"},
		{"another kind", func(s *server, _ *fetch.File) { s.data[0] = 'x' }, ops.CodeUnavailable, "does not begin as one"},
		{"nothing", func(s *server, _ *fetch.File) { s.data = nil }, ops.CodeUnavailable, "it is empty"},
		{"another part than asked for", answering(http.StatusPartialContent, "Content-Range", "bytes 5-9/300000"), ops.CodeUnavailable, "was asked for bytes 0 to 65535"},
		{"a part of another length than it has", answering(http.StatusPartialContent, "Content-Range", "bytes 0-65535/300000", "Content-Length", "5"), ops.CodeUnavailable, `gives "bytes 0-65535/300000", and also that this is 5 bytes`},
		{"a part that cannot be", answering(http.StatusRequestedRangeNotSatisfiable), ops.CodeUnavailable, "answers 416"},
		{"a part of nothing", answering(http.StatusRequestedRangeNotSatisfiable, "Content-Range", "bytes */0"), ops.CodeUnavailable, "was asked for bytes 0 to 65535 and answers 416 Requested Range Not Satisfiable: it says that the file is empty"},
		{"a part that cannot be, with nonsense", answering(http.StatusRequestedRangeNotSatisfiable, "Content-Range", "bytes */77"), ops.CodeUnavailable, `answers 416 Requested Range Not Satisfiable: it says "bytes */77"`},
		{"nothing, without ranges", func(s *server, _ *fetch.File) { s.data, s.noRange = nil, true }, ops.CodeUnavailable, "it is empty"},
		{"a page", answering(http.StatusOK, "Content-Type", "text/html"), ops.CodeUnavailable, "is a web page"},
		{"busy for an hour", answering(http.StatusTooManyRequests, "Retry-After", "3600"), ops.CodeUnavailable, "the server answers 429 Too Many Requests and asks to be left alone for 1h"},
		{"busy for a year", answering(http.StatusTooManyRequests, "Retry-After", time.Now().Add(400*24*time.Hour).UTC().Format(http.TimeFormat)), ops.CodeUnavailable, "asks to be left alone for 400 days"},
		{"busy for ever", answering(http.StatusServiceUnavailable, "Retry-After", "99999999999"), ops.CodeUnavailable, "asks to be left alone for years"},
		{"round in circles", func(s *server, _ *fetch.File) {
			s.before = func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, "/x.gguf?again=yes", http.StatusFound)
				return true
			}
		}, ops.CodeUnavailable, "it was sent elsewhere 11 times, the last time to http://127.0.0.1"},
		{"sent to a file", answering(http.StatusFound, "Location", "file:///etc/passwd"), ops.CodeDenied, "which is no web server"},
		{"sent nowhere", answering(http.StatusFound, "Location", "http:///x.gguf"), ops.CodeUnavailable, "which names no server"},
		{"gone", answering(http.StatusGone), ops.CodeNotFound, "there is nothing at"},
		{"withheld", answering(http.StatusUnavailableForLegalReasons), ops.CodeUnavailable, "answers 451"},
		{"no content", answering(http.StatusNoContent), ops.CodeUnavailable, "answers 204"},
		{"always busy", answering(http.StatusServiceUnavailable), ops.CodeUnavailable, "503"},
		{"always cut without ranges", func(s *server, _ *fetch.File) { s.noRange, s.cut, s.cuts = true, 5000, 1000 }, ops.CodeUnavailable, "has 300000 bytes, as the server says, and ends after 5000 of them each time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, 300_000)
			f := s.file()
			c.spoil(s, &f)
			dir := t.TempDir()
			_, err := newFetcher(t, quick()).Fetch(t.Context(), f, filepath.Join(dir, "x.gguf"), unseen)
			wantCode(t, err, c.code)
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
			if ops.AsError(err).Hint == "" {
				t.Errorf("%q says not what to do", err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("it leaves %v, %v", left, err)
			}
		})
	}
}

func TestATokenStaysWithTheServerItIsFor(t *testing.T) {
	s := newServer(t, 300_000)
	var leaked, known atomic.Int32
	s.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "" {
			leaked.Add(1)
		}
		return false
	}
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer secret" {
			known.Add(1)
		}
		http.Redirect(w, r, s.URL+"/cdn", http.StatusFound)
	}))
	t.Cleanup(hub.Close)
	f := fetch.File{URL: hub.URL + "/x.gguf", Size: -1, Begins: "GGUF", Token: "secret"}
	path := filepath.Join(t.TempDir(), "x.gguf")
	got, err := newFetcher(t, quick()).Fetch(t.Context(), f, path, unseen)
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, got, s.data)
	if leaked.Load() > 0 || known.Load() == 0 {
		t.Errorf("%d requests took the token elsewhere, %d brought it where it belongs", leaked.Load(), known.Load())
	}
}

func TestNobodyOutsideSendsADownloadIntoThisNetwork(t *testing.T) {
	good := newServer(t, 1000)
	for to, ok := range map[string]bool{
		"127.0.0.1": false, "[::1]": false, "[::ffff:127.0.0.1]": false, "0.0.0.0": false, "localhost": false,
		"10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "[fd00::1]": false,
		"169.254.169.254": false, "[fe80::1]": false, "198.51.100.7": true,
		"100.64.0.1": false, "100.127.255.254": false, "100.128.0.1": true, "100.63.255.254": true, "[::ffff:100.64.0.1]": false,
		"192.0.0.8": false, "198.18.0.1": false, "198.19.255.254": false, "198.20.0.1": true, "0.1.2.3": false,
		"[fc00::1]": false, "[fec0::1]": false, "[::ffff:10.1.2.3]": false, "[64:ff9b::a01:203]": false, "[64:ff9b::c633:6407]": true,
		"[2002:c0a8:101::1]": false, "[2002:c633:6407::1]": true, "[::10.1.2.3]": false, "224.0.0.1": false, "[2001:db8::1]": true,
		"2130706433": false, "0x7f000001": false, "017700000001": false, "127.1": false, "0x7f.1": false, "0": false, "192.168.257": false,
		"localhost.": false, "192.168.1.1.": false, "198.51.25607": true, "3325256711": true, "0b1.example": true, "cafe": true,
	} {
		outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Asked-Of") != "models.example" {
				good.ServeHTTP(w, r)
				return
			}
			http.Redirect(w, r, "http://"+to+"/x.gguf", http.StatusFound)
		}))
		o := quick()
		o.Lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
			if host == "localhost" {
				return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
			}
			return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
		}
		o.Transport = rewriting{to: strings.TrimPrefix(outside.URL, "http://")}
		f := fetch.File{URL: "http://models.example/x.gguf", Size: -1, Begins: "GGUF"}
		_, err := newFetcher(t, o).Fetch(t.Context(), f, filepath.Join(t.TempDir(), "x.gguf"), unseen)
		if ok != (err == nil) || !ok && (ops.CodeOf(err) != ops.CodeDenied || !strings.Contains(err.Error(), "inside this network")) {
			t.Errorf("to %s: %v", to, err)
		}
		outside.Close()
	}
}

func TestAServerThatLiesAboutTheLengthIsFoundOut(t *testing.T) {
	for name, said := range map[string]int{"too short": 200_000, "too long": 400_000} {
		s := newServer(t, 300_000)
		s.before = func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", strconv.Itoa(said))
			_, _ = w.Write(s.data[:min(said, len(s.data))])
			return true
		}
		for _, known := range []bool{true, false} {
			f := s.file()
			if known {
				f.Size, f.SHA256 = int64(len(s.data)), sumOf(s.data)
			} else if said < len(s.data) {
				continue // what comes is what was told: only its reader can know better
			}
			dir := t.TempDir()
			if _, err := newFetcher(t, quick()).Fetch(t.Context(), f, filepath.Join(dir, "x.gguf"), unseen); ops.CodeOf(err) != ops.CodeUnavailable {
				t.Errorf("%s, known %t: %v", name, known, err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("%s: it leaves %v, %v", name, left, err)
			}
		}
	}
}

// rewriting connects to a test's server for whatever host is asked.
type rewriting struct{ to string }

// RoundTrip asks the test's server.
func (r rewriting) RoundTrip(q *http.Request) (*http.Response, error) {
	q = q.Clone(q.Context())
	q.Header.Set("X-Asked-Of", q.URL.Host)
	q.URL.Host = r.to
	transport := &http.Transport{DisableKeepAlives: true}
	return transport.RoundTrip(q)
}

func TestWhatADownloadWasSentOnToIsNamedWhereItFails(t *testing.T) {
	s := newServer(t, 1000)
	host := strings.TrimPrefix(s.URL, "http://")
	hub := httptest.NewServer(http.RedirectHandler(s.URL+"/cdn", http.StatusFound))
	t.Cleanup(hub.Close)
	for _, c := range []struct {
		spoil func(*server, *fetch.File)
		code  ops.Code
		says  string
		hint  string
	}{
		{answering(http.StatusForbidden), ops.CodeDenied, "it was sent on to " + host + ", which answers 403 Forbidden", "the link has expired, or a proxy or firewall keeps the hive from " + host},
		{answering(http.StatusForbidden, "X-Error-Code", "GatedRepo"), ops.CodeDenied, hub.URL + "/x (sent on to " + host + ") is not given to everybody", "ask for access"},
		{answering(http.StatusUnauthorized), ops.CodeDenied, "(sent on to " + host + ") is not given to everybody", "ask for access"}, // as a mirror's that sends on to the Hub
		{answering(http.StatusNotFound), ops.CodeNotFound, hub.URL + "/x (sent on to " + host + ")", ""},
	} {
		c.spoil(s, nil)
		_, err := newFetcher(t, quick()).Fetch(t.Context(), fetch.File{URL: hub.URL + "/x", Size: -1, Access: "ask for access"}, filepath.Join(t.TempDir(), "x"), unseen)
		wantCode(t, err, c.code)
		if !strings.Contains(err.Error(), c.says) || !strings.Contains(ops.AsError(err).Hint, c.hint) {
			t.Errorf("%v (%s) does not say %q and %q", err, ops.AsError(err).Hint, c.says, c.hint)
		}
	}
}

// marking gives each answer another ETag.
func marking(s *server) func(http.ResponseWriter, *http.Request) bool {
	return func(http.ResponseWriter, *http.Request) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.tag = strconv.Quote("x" + s.tag[1:len(s.tag)-1]) // what is under way has the one before
		return false
	}
}

func TestAFileThatBearsAnotherMarkWithEachAnswerComesAllTheSame(t *testing.T) {
	for _, size := range []int{300_000, 3 << 20} { // over one connection, and over several
		for _, known := range []bool{true, false} {
			t.Run(strconv.Itoa(size)+" bytes, sum known "+strconv.FormatBool(known), func(t *testing.T) {
				s := newServer(t, size)
				s.before = marking(s)
				what := s.file()
				if known {
					what.SHA256 = sumOf(s.data)
				}
				path := filepath.Join(t.TempDir(), "x")
				got, err := newFetcher(t, quick()).Fetch(t.Context(), what, path, unseen)
				if err != nil {
					t.Fatal(err)
				}
				if !known && got.Validator != "" {
					t.Errorf("a mark of no worth is told: %q", got.Validator)
				}
				wantFile(t, path, got, s.data)
				if n := s.sentSince(); known && n != size {
					t.Errorf("the server sent %d bytes of %d, though the sum is known", n, size)
				}
			})
		}
	}
}

func TestADownloadOfKnownSumGoesOnThoughTheMarkIsAnother(t *testing.T) {
	s := newServer(t, 8<<20)
	what := s.file()
	what.SHA256 = sumOf(s.data)
	path := filepath.Join(t.TempDir(), "x.gguf")
	beginAs(t, what, path)
	s.mu.Lock()
	s.tag = `"two"`
	s.mu.Unlock()
	s.sentSince()
	got, err := newFetcher(t, quick()).Fetch(t.Context(), what, path, unseen)
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, got, s.data)
	if n := s.sentSince(); n > len(s.data)*3/4 {
		t.Errorf("the server sent %d of %d bytes again", n, len(s.data))
	}
}

func TestWhatCameOfAFileWithAnotherSumIsNotGoneOnWith(t *testing.T) {
	for _, whole := range []bool{true, false} {
		s := newServer(t, 8<<20)
		old := s.file()
		old.SHA256 = sumOf(s.data)
		path := filepath.Join(t.TempDir(), "x.gguf")
		if whole {
			if _, err := newFetcher(t, quick()).Fetch(t.Context(), old, path, unseen); err != nil {
				t.Fatal(err)
			}
		} else {
			beginAs(t, old, path)
		}
		s.mu.Lock()
		s.data = content(2, len(s.data)) // as long as before, and under the same mark
		s.mu.Unlock()
		now := s.file()
		now.SHA256 = sumOf(s.data)
		if n := fetch.Have(path, now); n != 0 {
			t.Errorf("whole %t: %d bytes of the file before are counted", whole, n)
		}
		got, err := newFetcher(t, quick()).Fetch(t.Context(), now, path, unseen)
		if err != nil {
			t.Fatalf("whole %t: %v", whole, err)
		}
		wantFile(t, path, got, s.data)
	}
}

func TestNothingIsKeptWhereNoTwoAnswersHaveHadTheSameMark(t *testing.T) {
	s := newServer(t, 300_000)
	s.before = marking(s)
	path := filepath.Join(t.TempDir(), "x")
	ctx, cancel := context.WithCancelCause(t.Context())
	most := int64(0)
	_, err := newFetcher(t, quick()).Fetch(ctx, fetch.File{URL: s.URL, Size: -1}, path, func(done, _ int64) {
		if done < most { // it has begun anew
			cancel(ops.Errorf(ops.CodeCancelled, "enough"))
		}
		most = max(most, done)
	})
	wantCode(t, err, ops.CodeCancelled)
	if have, _ := fetch.Begun(path); have != 0 {
		t.Errorf("%d bytes are kept, with which nobody can go on", have)
	}
}
