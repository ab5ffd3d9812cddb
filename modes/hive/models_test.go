package hive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/rs/zerolog"

	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

// newModels opens an empty models' folder.
func newModels(t *testing.T) *models {
	t.Helper()
	m, err := openModels(t.TempDir(), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	m.askWithin = time.Millisecond // there is no queen
	m.fetch = fetch.Options{Tries: 2, Backoff: func() backoff.BackOff { return &backoff.ZeroBackOff{} }}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// put writes a file below the models' folder.
func (m *models) put(t *testing.T, name string, text []byte) {
	t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code ops.Code, says ...string) {
	t.Helper()
	e := ops.AsError(err)
	if ops.CodeOf(err) != code {
		t.Fatalf("got %v (%s), want %s", err, ops.CodeOf(err), code)
	}
	for _, s := range says {
		if !strings.Contains(e.Error()+"\n"+e.Hint, s) {
			t.Errorf("%q (hint %q) does not say %q", e.Error(), e.Hint, s)
		}
	}
}

func TestAModelThatAPersonCopiesInIsFoundAndOneTheyDeleteIsGone(t *testing.T) {
	m := newModels(t)
	m.put(t, "mine/Weights.GGUF", testdata.Tinybee())
	m.put(t, "notes/readme.txt", []byte("no model"))
	list := m.list()
	if len(list) != 1 {
		t.Fatalf("found %+v", list)
	}
	got := list[0]
	if got.ID != "mine" || got.Architecture != "llama" || got.Quantization != "Q8_0" || got.Context != 512 || got.Source != copiedSource ||
		got.Size != int64(len(testdata.Tinybee())) || got.Parameters < 1_000_000 || got.Error != "" || time.Since(got.AddedAt) > time.Minute {
		t.Errorf("it is %+v", got)
	}
	if err := os.RemoveAll(filepath.Join(m.dir, "mine")); err != nil {
		t.Fatal(err)
	}
	if list := m.list(); len(list) != 0 {
		t.Errorf("still found %+v", list)
	}
	_, err := m.get("mine")
	wantCode(t, err, ops.CodeNotFound, `no model "mine"`, "rbee model list")
}

func TestAFileThatChangesIsReadAgain(t *testing.T) {
	m := newModels(t)
	m.put(t, "mine/a.gguf", testdata.Tinybee()[:5000])
	if got, err := m.get("mine"); err != nil || got.Error == "" {
		t.Fatalf("a cut file is %+v, %v", got, err)
	}
	m.put(t, "mine/a.gguf", testdata.Tinybee())
	if got, err := m.get("mine"); err != nil || got.Error != "" {
		t.Errorf("the whole file is %+v, %v", got, err)
	}
}

func TestWhatCannotBeUsedIsListedWithTheReasonAndRefused(t *testing.T) {
	m := newModels(t)
	m.put(t, "good/a.gguf", testdata.Tinybee())
	m.put(t, "cut/a.gguf", testdata.Tinybee()[:5000])
	m.put(t, "empty/a.gguf", nil)
	m.put(t, "page/a.gguf", []byte("<!doctype html>"))
	m.put(t, "shards/a-1.gguf", testdata.Tinybee())
	m.put(t, "shards/a-2.gguf", testdata.Tinybee())
	if list := m.list(); len(list) != 5 {
		t.Errorf("the list has %d models", len(list))
	}
	for id, says := range map[string]string{
		"cut": "not a usable GGUF file", "empty": "is empty", "page": "not a usable GGUF file", "shards": "several GGUF files: a-1.gguf, a-2.gguf",
	} {
		got, err := m.get(id)
		if err != nil || !strings.Contains(got.Error, says) {
			t.Errorf("%s is %+v, %v", id, got, err)
		}
		_, err = m.choose(t.Context(), id)
		hint := "rbee model delete " + id
		if id == "shards" { // one of the two is meant
			hint = "leave the one that is meant in"
		}
		wantCode(t, err, ops.CodeConflict, "the model "+id+" cannot be used", hint)
	}
}

func TestTheNearestModelIsOneThatIsThere(t *testing.T) {
	m := newModels(t)
	m.put(t, "badman2/.keep", nil)
	m.put(t, "badmen22/notes.txt", []byte("no model"))
	_, err := m.get("badman")
	if hint := ops.AsError(err).Hint; err == nil || strings.Contains(hint, "badm") {
		t.Errorf("of folders without a model: %v (%s)", err, hint)
	}
	m.put(t, "badmen22/a.gguf", testdata.Tinybee())
	_, err = m.get("badman2x")
	if hint := ops.AsError(err).Hint; err == nil || !strings.Contains(hint, `did you mean "badmen22"`) {
		t.Errorf("with one a little further off: %v (%s)", err, hint)
	}
}

func TestNoNameAndNoLinkLeadsOutOfTheModelsFolder(t *testing.T) {
	m := newModels(t)
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret.gguf")
	if err := os.WriteFile(secret, testdata.Tinybee(), 0o600); err != nil {
		t.Fatal(err)
	}
	m.put(t, "inside/a.gguf", testdata.Tinybee())
	m.put(t, "linked/.keep", nil)
	for name, target := range map[string]string{
		"folder": outside, "linked/a.gguf": secret, "up": "../" + filepath.Base(outside), "dangling": "/nowhere", "lost": "none", "same": "inside",
	} {
		if err := os.Symlink(target, filepath.Join(m.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := m.choose(t.Context(), "lost")
	wantCode(t, err, ops.CodeNotFound, "lost is a link on hive localhost that leads to no GGUF file", "remove it")
	for _, id := range []string{"..", "../" + filepath.Base(outside), outside, "/etc", "a/../..", ".", "", "inside/../../x", "folder", "linked", "up", "dangling"} {
		model, err := m.choose(t.Context(), id)
		if err == nil && id != "" {
			t.Errorf("%q gives %+v", id, model)
		}
		if err := m.remove(id); err == nil && (id == ".." || filepath.IsAbs(id)) {
			t.Errorf("%q can be deleted", id)
		}
	}
	if _, err := os.Stat(secret); err != nil {
		t.Errorf("what lies outside: %v", err)
	}
	root, err := filepath.EvalSymlinks(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, model := range m.list() {
		if model.Error != "" {
			if model.Error != "it is a link that leads out of the models' folder" {
				t.Errorf("of %s it says %q", model.ID, model.Error)
			}
			continue
		}
		if path, err := filepath.EvalSymlinks(model.Path); err != nil || !strings.HasPrefix(path, root+"/") {
			t.Errorf("%s lies at %s, %v", model.ID, path, err)
		}
	}
	if got, err := m.get("same"); err != nil || got.Error != "" {
		t.Errorf("a link that stays inside is %+v, %v", got, err)
	}
}

func TestWhatTheBuiltinEngineCannotRunIsToldWhereThereIsNoOther(t *testing.T) {
	m := newModels(t)
	m.put(t, "tiny/a.gguf", testdata.Tinybee())
	for id, values := range map[string]map[string]any{
		"wide":   {"llama.embedding_length": uint32(0)},
		"deep":   {"llama.block_count": uint32(1 << 30)},
		"one":    {"llama.attention.head_count": uint32(0)},
		"more":   {"llama.block_count": uint32(6)},
		"turned": {"llama.rope.freq_base": float32(math.Inf(1))},
	} {
		m.put(t, id+"/a.gguf", gguftest.Changed(testdata.Tinybee(), values))
	}
	for _, engine := range []string{builtin, llamaCpp} {
		m.usual = func() string { return engine }
		for _, model := range m.list() {
			want := engine == builtin && model.ID != "tiny"
			if refused := strings.Contains(model.Refused, "the builtin engine cannot run this model"); refused != want || model.Error != "" {
				t.Errorf("with %s, %s is refused for %q and has the error %q", engine, model.ID, model.Refused, model.Error)
			}
			if not := strings.Contains(model.NotBuiltin, "the builtin engine cannot run this model"); not != (model.ID != "tiny") {
				t.Errorf("with %s, %s is not for the builtin engine for %q", engine, model.ID, model.NotBuiltin)
			}
			if want && model.Memory != 0 {
				t.Errorf("%s is said to take %d bytes", model.ID, model.Memory)
			}
		}
	}
}

func TestTheDefaultIsTheNewestModelThatAPersonAdded(t *testing.T) {
	m := newModels(t)
	if err := m.ensureBuiltIn(); err != nil {
		t.Fatal(err)
	}
	choose := func() (string, []string) {
		var said story
		model, err := m.choose(ops.WithSink(t.Context(), &said), "")
		if err != nil {
			t.Fatal(err)
		}
		return model.ID, said.lines
	}
	if id, said := choose(); id != "tinybee" || len(said) > 0 {
		t.Errorf("with nothing else it is %s: %q", id, said)
	}
	for i, id := range []string{"zeta", "alpha"} {
		m.put(t, id+"/a.gguf", testdata.Tinybee())
		at := time.Now().Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(filepath.Join(m.dir, id), at, at); err != nil {
			t.Fatal(err)
		}
	}
	m.put(t, "newest-but-broken/a.gguf", []byte("GGUF"))
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(m.dir, "newest-but-broken"), later, later); err != nil {
		t.Fatal(err)
	}
	m.put(t, "newest-of-another-kind/a.gguf", bytes.Replace(testdata.Tinybee(), []byte("llama"), []byte("lhama"), 1))
	if err := os.Chtimes(filepath.Join(m.dir, "newest-of-another-kind"), later, later); err != nil {
		t.Fatal(err)
	}
	if id, said := choose(); id != "alpha" || len(said) != 1 || !strings.Contains(said[0], "taking alpha, the one added last") {
		t.Errorf("then it is %s: %q", id, said)
	}
}

func TestTheBuiltInModelComesBackAndIsRenewed(t *testing.T) {
	m := newModels(t)
	for _, c := range []struct {
		name string
		harm func()
	}{
		{"at the first start", func() {}},
		{"when it was deleted", func() {
			if err := m.remove("tinybee"); err != nil {
				t.Fatal(err)
			}
		}},
		{"when it is damaged", func() { m.put(t, "tinybee/model.gguf", []byte("GGUF")) }},
		{"when another build wrote it", func() {
			m.put(t, "tinybee/manifest.json", []byte(`{"source":"built-in","sha256":"00","size_bytes":1811648}`))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.harm()
			if err := m.ensureBuiltIn(); err != nil {
				t.Fatal(err)
			}
			got, err := m.get("tinybee")
			if err != nil || got.Error != "" || got.Source != ops.BuiltInSource || len(got.SHA256) != 64 {
				t.Errorf("it is %+v, %v", got, err)
			}
		})
	}
}

func TestAPersonsModelOfTheBuiltInOnesNameStays(t *testing.T) {
	m := newModels(t)
	m.put(t, "tinybee/my.gguf", testdata.Tinybee())
	if err := m.ensureBuiltIn(); err != nil {
		t.Fatal(err)
	}
	if got, err := m.get("tinybee"); err != nil || got.Source != copiedSource {
		t.Errorf("it is %+v, %v", got, err)
	}
}

func TestWhatAnUnfinishedDownloadLeftIsClearedAway(t *testing.T) {
	m := newModels(t)
	m.put(t, partial+"123/model.gguf", testdata.Tinybee())
	if list := m.list(); len(list) != 0 {
		t.Errorf("it counts as %+v", list)
	}
	again, err := openModels(m.dir, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close() //nolint:errcheck // it was only read
	if _, err := os.Stat(filepath.Join(m.dir, partial+"123")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it stays: %v", err)
	}
}

// story is a sink that keeps what is narrated, and counts progress.
type story struct {
	lines    []string
	progress []ops.ProgressEvent
	see      func(ops.Event)
}

var _ ops.Sink = (*story)(nil)

func (s *story) JobID() string                  { return "a-job-of-the-tests-1" }
func (s *story) Mark(e ops.Event, _ ops.Cursor) { s.Emit(e) }
func (s *story) Cursor() ops.Cursor             { return ops.Cursor{} }

func (s *story) Emit(e ops.Event) {
	switch e := e.(type) {
	case ops.NarrationEvent:
		s.lines = append(s.lines, e.Human)
	case ops.ProgressEvent:
		s.progress = append(s.progress, e)
	case ops.TokenEvent, ops.ResultEvent, ops.ErrorEvent, ops.EndEvent:
	}
	if s.see != nil {
		s.see(e)
	}
}

// told returns a context whose job is s.
func (s *story) told(ctx context.Context) context.Context { return ops.WithSink(ctx, s) }

// homeIn is a home in a temporary folder, and nopLog a log that nobody reads.
func homeIn(t *testing.T) home.Home {
	t.Helper()
	dir := t.TempDir()
	h := home.Home{Config: dir, State: filepath.Join(dir, "state"), Cache: filepath.Join(dir, "cache")}
	if err := h.Create(); err != nil {
		t.Fatal(err)
	}
	return h
}

var nopLog = zerolog.Nop()

func sumOfBee() string { return fmt.Sprintf("%x", sha256.Sum256(testdata.Tinybee())) }

func TestAProjectorBelongsToTheModelBesideIt(t *testing.T) {
	m := newModels(t)
	m.put(t, "eyes/bee.gguf", testdata.Tinybee())
	m.put(t, "eyes/mmproj-bee-F16.gguf", testdata.Tinybee())
	got, err := m.get("eyes")
	if err != nil || got.Error != "" || filepath.Base(got.Path) != "bee.gguf" || got.Size != 2*int64(len(testdata.Tinybee())) {
		t.Errorf("it is %+v, %v", got, err)
	}
}
