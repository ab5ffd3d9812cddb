package hive

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

// hub serves a repository bees/tiny with a whole model and one in two parts.
func hub(t *testing.T) *httptest.Server {
	t.Helper()
	parts := gguftest.Split(testdata.Tinybee(), 2)
	files := map[string][]byte{"tiny-Q4_K_M.gguf": testdata.Tinybee(), "tiny-F16-00001-of-00002.gguf": parts[0], "tiny-F16-00002-of-00002.gguf": parts[1]}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/models/bees/tiny/tree/main", func(w http.ResponseWriter, _ *http.Request) {
		var rows []string
		for name, text := range files {
			rows = append(rows, fmt.Sprintf(`{"type":"file","path":%q,"size":%d,"lfs":{"oid":"%x"}}`, name, len(text), sha256.Sum256(text)))
		}
		_, _ = fmt.Fprintf(w, "[%s]", strings.Join(rows, ","))
	})
	mux.HandleFunc("GET /bees/tiny/resolve/main/", func(w http.ResponseWriter, r *http.Request) {
		text := files[path.Base(r.URL.Path)]
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(text)))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
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

func TestTheBarIsWholeBeforeItIsSaidThatTheModelIsThere(t *testing.T) {
	m := newModelsOf(t, hub(t).URL)
	var said story
	last := int64(0)
	said.see = func(e ops.Event) {
		switch e := e.(type) {
		case ops.ProgressEvent:
			last = e.Done
		case ops.NarrationEvent:
			if e.Action == "model_ready" && last != int64(len(testdata.Tinybee())) {
				t.Errorf("it is there, and the bar is at %d", last)
			}
		case ops.TokenEvent, ops.ResultEvent, ops.ErrorEvent, ops.EndEvent:
		}
	}
	if _, err := m.download(said.told(t.Context()), "hf:bees/tiny", ""); err != nil || !strings.Contains(strings.Join(said.lines, "\n"), "is on hive") {
		t.Errorf("%v, it says %q", err, said.lines)
	}
}

func TestASplitModelIsOneModel(t *testing.T) {
	m := newModelsOf(t, hub(t).URL)
	var said story
	got, err := m.download(said.told(t.Context()), "hf:bees/tiny:F16", "")
	if err != nil {
		t.Fatal(err)
	}
	size := int64(0)
	for _, part := range gguftest.Split(testdata.Tinybee(), 2) {
		size += int64(len(part))
	}
	if got.ID != "tiny-F16" || got.Size != size || filepath.Base(got.Path) != "tiny-F16-00001-of-00002.gguf" || got.Error != "" || got.Source != "hf:bees/tiny:tiny-F16-00001-of-00002.gguf" {
		t.Errorf("it is %+v", got)
	}
	if p := said.progress[len(said.progress)-1]; p.Done != size || p.Total != size {
		t.Errorf("the last progress is %+v", p)
	}
	if err := os.Remove(filepath.Join(filepath.Dir(got.Path), "tiny-F16-00002-of-00002.gguf")); err != nil {
		t.Fatal(err)
	}
	if half, err := m.get(got.ID); err != nil || !strings.Contains(half.Error, "parts") {
		t.Errorf("without a part it is %+v, %v", half, err)
	}
}

// tinybeeIn is a folder with bee.gguf.
func tinybeeIn(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "bee.gguf"), testdata.Tinybee(), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// inParts writes a model as n files with names as gguf-split gives them.
func inParts(t *testing.T, name string, n int) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for i, part := range gguftest.Split(testdata.Tinybee(), n) {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%05d-of-%05d.gguf", name, i+1, n)), part, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestAllPartsOfASplitModelComeFromAFolderOrAServer(t *testing.T) {
	folder := inParts(t, "big one", 3)
	server := httptest.NewServer(http.FileServer(http.Dir(folder)))
	t.Cleanup(server.Close)
	for name, from := range map[string]string{
		"a folder":       filepath.Join(folder, "big one-00001-of-00003.gguf"),
		"another part":   filepath.Join(folder, "big one-00002-of-00003.gguf"),
		"a server":       server.URL + "/big%20one-00001-of-00003.gguf?download=true",
		"another there":  server.URL + "/big%20one-00003-of-00003.gguf",
		"another server": strings.Replace(server.URL, "http://", "http://bee:secret@", 1) + "/big%20one-00001-of-00003.gguf",
	} {
		t.Run(name, func(t *testing.T) {
			m := newModels(t)
			var said story
			got, err := m.download(said.told(t.Context()), from, "")
			if err != nil {
				t.Fatal(err)
			}
			list, err := m.files(got.ID)
			if err != nil || len(list.Files) != 3 || list.Files[2].Name != "big-one-00003-of-00003.gguf" || len(list.Files[2].SHA256) != 64 {
				t.Errorf("its files are %+v, %v", list, err)
			}
			if got.ID != "big-one" || got.Error != "" || got.Size < int64(len(testdata.Tinybee())) || !strings.Contains(got.Source, "-00001-of-00003.gguf") || strings.Contains(got.Source, "secret") {
				t.Errorf("it is %+v", got)
			}
			if one, err := newModels(t).download(t.Context(), filepath.Join(tinybeeIn(t), "bee.gguf"), ""); err != nil || got.Parameters != one.Parameters || got.Refused != "" {
				t.Errorf("it has %d parameters (%q), the whole %d, %v", got.Parameters, got.Refused, one.Parameters, err)
			}
			if p := said.progress[len(said.progress)-1]; p.Done != got.Size || p.Total != got.Size {
				t.Errorf("the last progress is %+v", p)
			}
			if again, err := m.download(t.Context(), from, ""); err != nil || again.AddedAt != got.AddedAt {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

func TestASplitModelThatWasCutGoesOnAndSaysTwiceTheSameOfWhatIsThere(t *testing.T) {
	folder := inParts(t, "big", 3)
	var left atomic.Int64 // of the second part, before the server breaks off
	left.Store(300_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"one"`)
		if strings.Contains(r.URL.Path, "00002") && r.Method == http.MethodGet {
			w = &cutter{w, &left}
		}
		http.FileServer(http.Dir(folder)).ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	m := newModels(t)
	var before, after story
	_, err := m.download(before.told(t.Context()), server.URL+"/big-00001-of-00003.gguf", "")
	wantCode(t, err, ops.CodeUnavailable)
	left.Store(1 << 40)
	got, err := m.download(after.told(t.Context()), server.URL+"/big-00001-of-00003.gguf", "")
	if err != nil {
		t.Fatal(err)
	}
	kept, _, _ := strings.Cut(before.lines[len(before.lines)-1], " of it are kept")
	here, _, _ := strings.Cut(after.lines[1], " of it are here already")
	if kept != here || !strings.HasSuffix(kept, "KiB") || strings.Count(strings.Join(after.lines, ""), "here already") != 1 {
		t.Errorf("kept are %q, here %q: %q", kept, here, after.lines)
	}
	for i, f := range got.Files {
		text, err := os.ReadFile(filepath.Join(folder, f.Name))
		if err != nil || f.SHA256 != fmt.Sprintf("%x", sha256.Sum256(text)) || f.Size != int64(len(text)) {
			t.Errorf("part %d is %+v, %v", i, f, err)
		}
	}
	if len(got.Files) != 3 || got.SHA256 != "" {
		t.Errorf("it is %+v", got)
	}
}

// cutter breaks answers off after so many bytes of all of them.
type cutter struct {
	http.ResponseWriter
	left *atomic.Int64
}

// Write writes what may still come.
func (c *cutter) Write(b []byte) (int, error) {
	if left := c.left.Load(); int64(len(b)) > left {
		c.left.Store(0)
		_, _ = c.ResponseWriter.Write(b[:left])
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left.Add(-int64(len(b)))
	return c.ResponseWriter.Write(b)
}

func TestASplitModelOfWhichAPartIsMissingIsRefusedBeforeAnyComes(t *testing.T) {
	folder := inParts(t, "big", 3)
	if err := os.Remove(filepath.Join(folder, "big-00002-of-00003.gguf")); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(folder)))
	t.Cleanup(server.Close)
	m := newModels(t)
	for _, from := range []string{filepath.Join(folder, "big-00001-of-00003.gguf"), server.URL + "/big-00001-of-00003.gguf"} {
		_, err := m.download(t.Context(), from, "")
		wantCode(t, err, ops.CodeNotFound, "part 2 of 3", "big-00002-of-00003.gguf")
		if left := m.unfinished(t); len(left) != 0 {
			t.Errorf("%v is left", left)
		}
	}
	alone := filepath.Join(folder, "renamed.gguf")
	if err := os.Rename(filepath.Join(folder, "big-00001-of-00003.gguf"), alone); err != nil {
		t.Fatal(err)
	}
	_, err := m.download(t.Context(), alone, "")
	wantCode(t, err, ops.CodeInvalid, "one of 3 parts")
}

func TestAHiveThatStartsAgainGoesOnWithADownload(t *testing.T) {
	m := newModels(t)
	folder, err := m.partialFolder(t.Context(), "bee", "https://host/bee.gguf", 0)
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
