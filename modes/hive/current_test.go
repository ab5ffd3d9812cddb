package hive

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

// beside has m hear from its queen of another hive, gpu1, which has the model has.
func (m *models) beside(t *testing.T, gpu1 *models, has ops.Model) {
	t.Helper()
	has.HiveID, m.askWithin = "gpu1", time.Minute
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	go func() {
		for {
			select {
			case <-done:
				return
			case a := <-m.wants.queue:
				got := httptest.NewRecorder()
				if a.want.HiveID == "" {
					_ = json.NewEncoder(got).Encode(ops.Models{Models: []ops.Model{has}})
				} else {
					gpu1.serveFiles(got, wanted(t, a.want))
				}
				answer := got.Result()
				answer.ContentLength = int64(got.Body.Len())
				answer.Body = &answerBody{ReadCloser: io.NopCloser(got.Body), closed: make(chan struct{}), interrupt: func() {}}
				select {
				case a.answered <- answer:
				case <-a.gone:
				}
			}
		}
	}()
}

// wanted is the request that a queen makes of a want.
func wanted(t *testing.T, w ops.Want) *http.Request {
	t.Helper()
	path := ops.FilesPath + w.Model
	if w.File != "" {
		path += "/" + w.File
	}
	switch {
	case w.Sum:
		path += "?sum=1"
	case w.Over:
		path += "?over=1"
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+path, nil)
	if w.Range != "" {
		r.Header.Set("Range", w.Range)
	}
	return r
}

func TestAnotherHivesCopyIsTakenOnlyOfWhatTheServerHasNow(t *testing.T) {
	for _, c := range []struct {
		name     string
		was, tag string // marks, when the other hive took it and now
		now      []byte // nil is that the server fails
		says     string
		copied   bool
	}{
		{"the same", `"one"`, `"one"`, testdata.Tinybee(), "hive gpu1 has it, and brings", true},
		{"another of the same size", `"one"`, `"two"`, otherContent(), "not taken: the server has another version of the file now", false},
		{"a longer one", `"one"`, `"two"`, longer(64), "not taken: the file has", false},
		{"one of which nothing tells", "", "", otherContent(), "not taken: nothing tells whether", false},
		{"nothing any more", `"one"`, "", nil, "cannot be told", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var changed atomic.Bool
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tag, text := c.was, testdata.Tinybee()
				if changed.Load() {
					tag, text = c.tag, c.now
				}
				if text == nil {
					http.NotFound(w, r)
					return
				}
				if changed.Load() && c.copied && r.Header.Get("Range") == "bytes=0-1048575" { // it is the slower one
					<-r.Context().Done()
					return
				}
				if tag != "" {
					w.Header().Set("ETag", tag)
				}
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
			}))
			defer server.Close()
			gpu1, m := newModels(t), newModels(t)
			had, err := gpu1.download(t.Context(), server.URL+"/bee.gguf", "")
			if err != nil {
				t.Fatal(err)
			}
			changed.Store(true)
			m.beside(t, gpu1, had)
			var said story
			got, err := m.download(said.told(t.Context()), server.URL+"/bee.gguf", "")
			if err != nil || (got.SHA256 == had.SHA256) != c.copied || !strings.Contains(strings.Join(said.lines, "\n"), c.says) {
				t.Errorf("it has %s, %v; it said %q", got.SHA256, err, said.lines)
			}
			want := c.tag
			if c.now == nil {
				want = c.was
			}
			if about := m.manifest("bee"); about.stamp(0) != want {
				t.Errorf("its mark is %q, want %q", about.stamp(0), want)
			}
		})
	}
}
