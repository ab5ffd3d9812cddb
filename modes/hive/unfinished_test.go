package hive_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
	"rbee.dev/rbee/transport"
)

// stopping serves the built-in model, but for its end.
func stopping(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"one"`)
		http.ServeContent(&stopper{w, r.Context(), 900_000}, r, "", time.Time{}, bytes.NewReader(testdata.Tinybee()))
	}))
	t.Cleanup(s.Close)
	return s
}

// stopper writes so many bytes, and then waits until nobody reads on.
type stopper struct {
	http.ResponseWriter
	reader context.Context
	left   int
}

// Write writes what may still come.
func (s *stopper) Write(b []byte) (int, error) {
	if len(b) <= s.left {
		s.left -= len(b)
		return s.ResponseWriter.Write(b)
	}
	_, _ = s.ResponseWriter.Write(b[:s.left])
	_ = http.NewResponseController(s.ResponseWriter).Flush()
	<-s.reader.Done()
	panic(http.ErrAbortHandler)
}

// listed is the model called id in a hive's state, and whether it says so of it.
func listed(id, says string) func(ops.HiveSnapshot) bool {
	return func(s ops.HiveSnapshot) bool {
		return slices.ContainsFunc(s.Models, func(m ops.Model) bool { return m.ID == id && strings.HasPrefix(m.Error, says) })
	}
}

func TestADownloadThatIsGivenUpIsListedGoneOnWithOrDeleted(t *testing.T) {
	h, s := start(t), stopping(t)
	o := ops.ModelDownload{Model: s.URL + "/slow.gguf"}
	var said []string
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	_, err := h.Client.Do(ctx, o, "", func(r transport.Received) error {
		switch e := r.Event.(type) {
		case ops.NarrationEvent:
			said = append(said, e.Human)
		case ops.ProgressEvent:
			if e.Done == 900_000 {
				await(t, h.Client, listed("slow", "it is being downloaded"))
				fails(t, h.Client, ops.ModelDelete{ID: "slow"}, ops.CodeConflict, "is being downloaded", "`rbee job cancel")
				cancel(ops.Errorf(ops.CodeCancelled, "enough"))
			}
		case ops.TokenEvent, ops.ResultEvent, ops.ErrorEvent, ops.EndEvent:
		}
		return nil
	})
	wantError(t, err, ops.CodeCancelled, "enough")
	if last := said[len(said)-1]; last != "879 KiB of it are kept for a week: the same command goes on from there, unless the file has changed by then, and `rbee model delete slow` removes it" {
		t.Errorf("the last words are %q", last)
	}
	await(t, h.Client, listed("slow", "it has come in part only: 879 KiB of 1.7 MiB"))
	got := do(t, h.Client, ops.ModelGet{ID: "slow"})
	if got.Size != 900_000 || got.Source != o.Model || !strings.Contains(got.Hint, "`rbee model download "+o.Model+" --name slow` goes on") {
		t.Errorf("it is %+v", got)
	}
	wantError(t, infer(t, h.Client, ops.Infer{Model: "slow", Prompt: "x"}, nil).err, ops.CodeConflict, "it has come in part only", "goes on from there")
	if gone := do(t, h.Client, ops.ModelDelete{ID: "slow"}); gone.Freed != 900_000 {
		t.Errorf("deleting it gives %+v", gone)
	}
	await(t, h.Client, func(s ops.HiveSnapshot) bool { return !listed("slow", "")(s) })
	fails(t, h.Client, ops.ModelGet{ID: "slow"}, ops.CodeNotFound, `no model "slow"`)
	fails(t, h.Client, ops.ModelDelete{ID: "slow"}, ops.CodeNotFound, `no model "slow"`)
}
