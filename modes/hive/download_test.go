package hive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

// server serves the built-in model and every kind of trouble.
func server(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	model := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(testdata.Tinybee())))
		_, _ = w.Write(testdata.Tinybee())
	}
	mux.HandleFunc("/org/tiny%20bee.Q8.gguf", model)
	mux.HandleFunc("/tiny.gguf", model)
	mux.HandleFunc("/chunked.gguf", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, struct{ io.Reader }{bytes.NewReader(testdata.Tinybee())})
	})
	mux.Handle("/moved.gguf", http.RedirectHandler("/tiny.gguf", http.StatusFound))
	mux.Handle("/round.gguf", http.RedirectHandler("/round.gguf", http.StatusFound))
	mux.Handle("/disk.gguf", http.RedirectHandler("file:///etc/passwd", http.StatusFound))
	mux.HandleFunc("/page.gguf", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<html>")
	})
	mux.HandleFunc("/text.gguf", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "version https://git-lfs.github.com")
	})
	mux.HandleFunc("/empty.gguf", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/damaged.gguf", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(testdata.Tinybee()[:5000]) })
	mux.HandleFunc("/torn.gguf", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(testdata.Tinybee())))
		_, _ = w.Write(testdata.Tinybee()[:5000])
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/huge.gguf", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "9000000000000000")
		_, _ = io.WriteString(w, "GGUF")
	})
	for path, status := range map[string]int{"/private.gguf": 401, "/forbidden.gguf": 403, "/busy.gguf": 503} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// unfinished lists what downloads left in the folder.
func (m *models) unfinished(t *testing.T) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(m.dir, partial+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func TestAModelComesFromAFileOrAServerWithItsSum(t *testing.T) {
	s := server(t)
	local := filepath.Join(t.TempDir(), "My Bee.gguf")
	if err := os.WriteFile(local, testdata.Tinybee(), 0o600); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(testdata.Tinybee())
	for _, c := range []struct{ name, from, id, want string }{
		{"a file", local, "", "My-Bee"},
		{"a file under another name", local, "bee", "bee"},
		{"a server", s.URL + "/org/tiny%20bee.Q8.gguf?download=true", "", "tiny-bee.Q8"},
		{"a server that does not tell the size", s.URL + "/chunked.gguf", "", "chunked"},
		{"elsewhere", s.URL + "/moved.gguf", "", "moved"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newModels(t)
			var said story
			got, err := m.download(said.told(t.Context()), c.from, c.id)
			if err != nil {
				t.Fatal(err)
			}
			if got.ID != c.want || got.Source != c.from || got.SHA256 != hex.EncodeToString(digest[:]) || got.Error != "" {
				t.Errorf("it is %+v", got)
			}
			if listed := m.list(); len(listed) != 1 || !reflect.DeepEqual(listed[0], got) {
				t.Errorf("the list says %+v", listed)
			}
			last := said.progress[len(said.progress)-1]
			if last.Action != "model_download" || last.Done != got.Size || last.Unit != "bytes" || last.Total != got.Size && last.Total != 0 {
				t.Errorf("the last progress is %+v", last)
			}
			if left := m.unfinished(t); len(left) > 0 {
				t.Errorf("it leaves %v", left)
			}
		})
	}
}

func TestWhatIsNoModelGetsNoName(t *testing.T) {
	s := server(t)
	for _, c := range []struct {
		from string
		code ops.Code
		says []string
	}{
		{"nowhere.gguf", ops.CodeNotFound, []string{"there is nothing at", "404"}},
		{"page.gguf", ops.CodeUnavailable, []string{"is a web page, not a GGUF file", "/resolve/"}},
		{"text.gguf", ops.CodeUnavailable, []string{"is no GGUF file: it does not begin", "is the address right"}},
		{"empty.gguf", ops.CodeUnavailable, []string{"is no GGUF file: it is empty"}},
		{"damaged.gguf", ops.CodeUnavailable, []string{"is not a usable GGUF file", "damaged or cut short"}},
		{"torn.gguf", ops.CodeUnavailable, []string{"broke off at 5000"}},
		{"huge.gguf", ops.CodeConflict, []string{"it takes 8.0 PiB, and the disk has", "make room"}},
		{"private.gguf", ops.CodeDenied, []string{"not given to everybody"}},
		{"forbidden.gguf", ops.CodeDenied, []string{"not given to everybody"}},
		{"busy.gguf", ops.CodeUnavailable, []string{"the server answers 503"}},
		{"round.gguf", ops.CodeUnavailable, []string{"sent elsewhere 11 times"}},
		{"disk.gguf", ops.CodeDenied, []string{"file:///etc/passwd, which is no web server"}},
	} {
		t.Run(c.from, func(t *testing.T) {
			m := newModels(t)
			_, err := m.download(t.Context(), s.URL+"/"+c.from, "")
			wantCode(t, err, c.code, c.says...)
			if list, left := m.list(), m.unfinished(t); len(list) > 0 || len(left) > 0 {
				t.Errorf("it leaves %v and %v", list, left)
			}
		})
	}
}

func TestSourcesThatCannotBeReadAreRefused(t *testing.T) {
	folder := t.TempDir()
	for _, c := range []struct {
		name, from, id string
		code           ops.Code
		says           []string
	}{
		{"no file", filepath.Join(folder, "bee.gguf"), "", ops.CodeNotFound, []string{"there is no file"}},
		{"a folder", folder, "bee", ops.CodeInvalid, []string{"is a folder", "name the GGUF file in it"}},
		{"a device", "/dev/zero", "bee", ops.CodeInvalid, []string{"is no regular file"}},
		{"nothing to name it by", "https://host/", "", ops.CodeInvalid, []string{"no name can be made", "--name"}},
		{"a bad name", "/x.gguf", "../x", ops.CodeInvalid, []string{"no name can be made"}},
		{"a bad URL", "http://[::1/bee.gguf", "bee", ops.CodeInvalid, []string{"is no URL"}},
		{"no server", "http://user:secret@127.0.0.1:1/bee.gguf", "", ops.CodeUnavailable, []string{"connection refused", "user:xxxxx@"}},
		{"no server, and a token", "http://127.0.0.1:1/bee.gguf?token=secret", "", ops.CodeUnavailable, []string{"connection refused", "?token=xxxxx"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := newModels(t).download(t.Context(), c.from, c.id)
			wantCode(t, err, c.code, c.says...)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%v tells the secret", err)
			}
		})
	}
}

func TestNamesAreMadeOfFileNames(t *testing.T) {
	for from, want := range map[string]string{
		"/m/Qwen3-0.6B-Q8_0.gguf":             "Qwen3-0.6B-Q8_0",
		"https://h/a/b/x.GGUF?download=true#": "x",
		"/m/ein Modell (neu).gguf":            "ein-Modell-neu",
		"/m/..gguf":                           "",
		"/m/a..b.gguf":                        "a.b",
		"/m/model":                            "model",
	} {
		if got := nameOf(from); got != want {
			t.Errorf("%s is called %q, want %q", from, got, want)
		}
	}
}

func TestASecondDownloadOfTheSameIsAnsweredAtOnceAndOfAnotherRefused(t *testing.T) {
	s := server(t)
	m := newModels(t)
	first, err := m.download(t.Context(), s.URL+"/tiny.gguf", "bee")
	if err != nil {
		t.Fatal(err)
	}
	var said story
	again, err := m.download(said.told(t.Context()), s.URL+"/tiny.gguf", "bee")
	if err != nil || !reflect.DeepEqual(again, first) || len(said.progress) > 0 || len(said.lines) != 1 || !strings.Contains(said.lines[0], "here already") {
		t.Errorf("again: %+v, %v, %+v", again, err, said)
	}
	_, err = m.download(t.Context(), s.URL+"/moved.gguf", "bee")
	wantCode(t, err, ops.CodeConflict, "there is a model bee already", "--name", "rbee model delete bee")
	m.put(t, "bee/model.gguf", testdata.Tinybee()[:5000])
	_, err = m.download(t.Context(), s.URL+"/tiny.gguf", "bee")
	wantCode(t, err, ops.CodeConflict, "there is a model bee already")
}

// slow serves the model's beginning, and its rest when the gate opens.
type slow struct {
	*httptest.Server
	asked atomic.Int32
	gate  chan struct{}
}

func newSlow(t *testing.T) *slow {
	t.Helper()
	s := &slow{gate: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		w.Header().Set("Content-Length", strconv.Itoa(len(testdata.Tinybee())))
		_, _ = w.Write(testdata.Tinybee()[:5000])
		_ = http.NewResponseController(w).Flush()
		select {
		case <-s.gate:
			_, _ = w.Write(testdata.Tinybee()[5000:])
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestThoseWhoAskForTheSameDownloadShareIt(t *testing.T) {
	s, m := newSlow(t), newModels(t)
	leading, waiting := make(chan struct{}), make(chan struct{})
	leader := story{see: func(e ops.Event) {
		if p, ok := e.(ops.ProgressEvent); ok && p.Done == 5000 {
			close(leading)
		}
	}}
	follower := story{see: func(e ops.Event) {
		if _, ok := e.(ops.NarrationEvent); ok {
			close(waiting)
		}
	}}
	var group sync.WaitGroup
	ask := func(said *story) {
		group.Go(func() {
			if got, err := m.download(said.told(t.Context()), s.URL+"/bee.gguf", ""); err != nil || got.ID != "bee" {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	ask(&leader)
	<-leading
	ask(&follower)
	<-waiting
	_, err := m.download(t.Context(), s.URL+"/other.gguf", "bee")
	wantCode(t, err, ops.CodeConflict, "another model is being downloaded as bee")
	close(s.gate)
	group.Wait()
	if n := s.asked.Load(); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
	if len(follower.lines) != 1 || !strings.Contains(follower.lines[0], "is being downloaded already") {
		t.Errorf("the second one heard %q", follower.lines)
	}
	if p := follower.progress; len(p) == 0 || p[len(p)-1].Done != int64(len(testdata.Tinybee())) {
		t.Errorf("it was told the progress %+v", p)
	}
}

func TestACancelledDownloadEndsAndSomebodyElseTakesItOver(t *testing.T) {
	s, m := newSlow(t), newModels(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	waiting := make(chan struct{})
	follower := story{see: func(e ops.Event) {
		if n, ok := e.(ops.NarrationEvent); ok && n.Action == "model_wait" {
			close(waiting)
		}
	}}
	var group sync.WaitGroup
	leader := story{see: func(e ops.Event) {
		if p, ok := e.(ops.ProgressEvent); ok && p.Done == 5000 {
			group.Go(func() {
				if got, err := m.download(follower.told(t.Context()), s.URL+"/bee.gguf", ""); err != nil || got.ID != "bee" {
					t.Errorf("the second one gets %+v, %v", got, err)
				}
			})
			<-waiting
			cancel(ops.Errorf(ops.CodeCancelled, "the job was cancelled"))
			close(s.gate)
		}
	}}
	_, err := m.download(leader.told(ctx), s.URL+"/bee.gguf", "")
	wantCode(t, err, ops.CodeCancelled, "the job was cancelled")
	group.Wait()
	if left := m.unfinished(t); len(left) > 0 {
		t.Errorf("it leaves %v", left)
	}
}

func TestADownloadThatADetachingHiveLeavesKeepsItsCause(t *testing.T) {
	s, m := newSlow(t), newModels(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	said := story{see: func(e ops.Event) {
		if _, ok := e.(ops.ProgressEvent); ok {
			cancel(ops.ErrDetached)
		}
	}}
	if _, err := m.download(said.told(ctx), s.URL+"/bee.gguf", ""); !errors.Is(err, ops.ErrDetached) {
		t.Errorf("got %v", err)
	}
}
