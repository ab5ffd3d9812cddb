package hive

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

// hub serves a repository bees/tiny with a whole model and one in two parts.
func hub(t *testing.T) *httptest.Server {
	t.Helper()
	sum := fmt.Sprintf("%x", sha256.Sum256(testdata.Tinybee()))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/models/bees/tiny/tree/main", func(w http.ResponseWriter, _ *http.Request) {
		var rows []string
		for _, name := range []string{"tiny-Q4_K_M.gguf", "tiny-F16-00001-of-00002.gguf", "tiny-F16-00002-of-00002.gguf"} {
			rows = append(rows, fmt.Sprintf(`{"type":"file","path":%q,"size":%d,"lfs":{"oid":%q}}`, name, len(testdata.Tinybee()), sum))
		}
		_, _ = fmt.Fprintf(w, "[%s]", strings.Join(rows, ","))
	})
	mux.HandleFunc("GET /bees/tiny/resolve/main/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"`+sum+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(testdata.Tinybee()))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// newModelsOf is an empty models' folder that downloads from the hub at url.
func newModelsOf(t *testing.T, url string) *models {
	t.Helper()
	m := newModels(t)
	m.fetch.Env = func(key string) string { return map[string]string{"HF_ENDPOINT": url}[key] }
	return m
}

func TestAModelComesFromTheHubAndSaysWhichItIs(t *testing.T) {
	m := newModelsOf(t, hub(t).URL)
	var said story
	got, err := m.download(said.told(t.Context()), "hf:bees/tiny", "")
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != "tiny-Q4_K_M" || got.Source != "hf:bees/tiny:tiny-Q4_K_M.gguf" || len(got.SHA256) != 64 || got.Error != "" {
		t.Errorf("it is %+v", got)
	}
	if !strings.Contains(said.lines[0], "taking tiny-Q4_K_M.gguf (Q4_K_M, 1.7 MiB): the usual choice") {
		t.Errorf("it says %q", said.lines)
	}
	if again, err := m.download(t.Context(), "hf:bees/tiny:q4_k_m", ""); err != nil || !reflect.DeepEqual(again, got) {
		t.Errorf("again: %+v, %v", again, err)
	}
}

func TestASplitModelIsOneModel(t *testing.T) {
	m := newModelsOf(t, hub(t).URL)
	var said story
	got, err := m.download(said.told(t.Context()), "hf:bees/tiny:F16", "")
	if err != nil {
		t.Fatal(err)
	}
	size := int64(2 * len(testdata.Tinybee()))
	if got.ID != "tiny-F16" || got.Size != size || filepath.Base(got.Path) != "tiny-F16-00001-of-00002.gguf" || got.Error != "" || got.Source != "hf:bees/tiny:tiny-F16-00001-of-00002.gguf" {
		t.Errorf("it is %+v", got)
	}
	if p := said.progress[len(said.progress)-1]; p.Done != size || p.Total != size {
		t.Errorf("the last progress is %+v", p)
	}
	if e := ops.AsError(refuseSplit(got)); e == nil || e.Code != ops.CodeUnsupported || !strings.Contains(e.Message, "split into 2 files") {
		t.Errorf("the builtin engine says %v", e)
	}
	if err := os.Remove(filepath.Join(filepath.Dir(got.Path), "tiny-F16-00002-of-00002.gguf")); err != nil {
		t.Fatal(err)
	}
	if half, err := m.get(got.ID); err != nil || !strings.Contains(half.Error, "parts") {
		t.Errorf("without a part it is %+v, %v", half, err)
	}
}

func TestAHiveThatStartsAgainGoesOnWithADownload(t *testing.T) {
	m := newModels(t)
	folder, err := m.partialFolder("bee", "https://host/bee.gguf", 0)
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(folder, "model.gguf.state")
	if err := os.WriteFile(state, []byte("{}"), 0o600); err != nil || !fetch.IsState(state) {
		t.Fatal(err)
	}
	if err := m.clearPartial(); err != nil {
		t.Fatal(err)
	}
	if left := m.unfinished(t); len(left) != 1 {
		t.Errorf("there is %v", left)
	}
	old := time.Now().Add(-2 * keepPartial)
	if err := os.Chtimes(state, old, old); err != nil {
		t.Fatal(err)
	}
	if err := m.clearPartial(); err != nil {
		t.Fatal(err)
	}
	if left := m.unfinished(t); len(left) != 0 {
		t.Errorf("after two weeks there is still %v", left)
	}
}
