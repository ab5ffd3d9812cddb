package hive

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

// longer is the built-in model with so many bytes more behind its tensors.
func longer(n int) []byte { return append(bytes.Clone(testdata.Tinybee()), make([]byte, n)...) }

// otherContent is a model of the same size as the built-in one.
func otherContent() []byte {
	text := bytes.Clone(testdata.Tinybee())
	text[len(text)-1] ^= 1
	return text
}

func TestAFileThatHasChangedIsNotTakenForTheModelThatIsHere(t *testing.T) {
	was := time.Now().Add(-time.Hour)
	for _, c := range []struct {
		name string
		now  []byte // nil removes it
		at   time.Time
		says string // "" is that the model is here already
	}{
		{"nothing has happened", testdata.Tinybee(), was, ""},
		{"it was only touched", testdata.Tinybee(), was.Add(time.Minute), ""},
		{"it was removed", nil, was, ""},
		{"it has grown", longer(64), was, "bytes now, and had"},
		{"it has other content of the same size", otherContent(), was.Add(time.Minute), "has other content now"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, path := newModels(t), filepath.Join(t.TempDir(), "bee.gguf")
			write := func(text []byte, at time.Time) {
				t.Helper()
				if err := os.WriteFile(path, text, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(path, at, at); err != nil {
					t.Fatal(err)
				}
			}
			write(testdata.Tinybee(), was)
			old, err := m.download(t.Context(), path, "")
			if err != nil {
				t.Fatal(err)
			}
			if c.now != nil {
				write(c.now, c.at)
			} else if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			m.wantAgain(t, path, old, c.says)
			if c.now == nil {
				return
			}
			if beside, err := m.download(t.Context(), path, "beside"); err != nil || beside.Size != int64(len(c.now)) {
				t.Errorf("beside the old one: %+v, %v", beside, err)
			}
			if err := m.remove(old.ID); err != nil {
				t.Fatal(err)
			}
			if now, err := m.download(t.Context(), path, ""); err != nil || now.Size != int64(len(c.now)) {
				t.Errorf("after the old one was deleted: %+v, %v", now, err)
			}
		})
	}
}

// wantAgain downloads a model once more, which is here already or refused, and
// stays in either case.
func (m *models) wantAgain(t *testing.T, from string, old ops.Model, says string) {
	t.Helper()
	var said story
	again, err := m.download(said.told(t.Context()), from, "")
	if says != "" {
		wantCode(t, err, ops.CodeConflict, says, "rbee model delete "+old.ID, "--name")
	} else if err != nil || again.SHA256 != old.SHA256 || !strings.Contains(said.lines[len(said.lines)-1], "is here already") {
		t.Errorf("again: %+v, %v, %q", again, err, said.lines)
	}
	if kept, err := m.get(old.ID); err != nil || kept.SHA256 != old.SHA256 {
		t.Errorf("the old one is %+v, %v", kept, err)
	}
}

func TestAServersNewVersionIsNotTakenForTheModelThatIsHere(t *testing.T) {
	type version struct {
		text []byte
		etag string
		code int
	}
	first := version{testdata.Tinybee(), `"one"`, 0}
	for _, c := range []struct {
		name   string
		before version
		now    version
		says   string
	}{
		{"the same", first, first, ""},
		{"another size", first, version{longer(64), `"one"`, 0}, "bytes now, and had"},
		{"another mark", first, version{otherContent(), `"two"`, 0}, "has another version"},
		{"no marks, and the same size", version{testdata.Tinybee(), "", 0}, version{testdata.Tinybee(), "", 0}, ""},
		{"it is gone", first, version{nil, "", http.StatusNotFound}, ""},
		{"the server is down", first, version{nil, "", http.StatusServiceUnavailable}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var now atomic.Pointer[version]
			now.Store(&c.before)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				v := now.Load()
				if v.code != 0 {
					w.WriteHeader(v.code)
					return
				}
				if v.etag != "" {
					w.Header().Set("ETag", v.etag)
				}
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(v.text))
			}))
			defer s.Close()
			m := newModels(t)
			old, err := m.download(t.Context(), s.URL+"/bee.gguf", "")
			if err != nil {
				t.Fatal(err)
			}
			now.Store(&c.now)
			m.wantAgain(t, s.URL+"/bee.gguf", old, c.says)
		})
	}
}

func TestALookThatIsCancelledIsNoAnswer(t *testing.T) {
	m, path := newModels(t), filepath.Join(t.TempDir(), "bee.gguf")
	if err := os.WriteFile(path, testdata.Tinybee(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.download(t.Context(), path, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ops.Errorf(ops.CodeCancelled, "cancelled"))
	_, err := m.download(ctx, path, "")
	wantCode(t, err, ops.CodeCancelled)
}
