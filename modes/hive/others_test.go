package hive

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

func TestWhatLiesWhereNoModelCanBeIsListedWithWhatToDo(t *testing.T) {
	m := newModels(t)
	for _, name := range []string{
		"loose.gguf", "big-00002-of-00003.gguf", "all-00001-of-00002.gguf", "all-00002-of-00002.gguf", "My Model/x.gguf", "owner/repo/y.gguf", "two/a.gguf", "two/b.gguf",
		"cut/x-00001-of-00003.gguf", "cut/x-00003-of-00003.gguf", "mixed/x-00001-of-00002.gguf", "mixed/z-00002-of-00002.gguf",
	} {
		m.put(t, name, testdata.Tinybee())
	}
	m.put(t, "notes.txt", nil)
	m.put(t, "notes/readme.txt", nil)
	m.put(t, ".hidden/x.gguf", testdata.Tinybee())
	list := m.list()
	for id, want := range map[string]struct{ why, hint string }{
		"loose.gguf":              {"it lies loose", "make the folder " + filepath.Join(m.dir, "loose")},
		"big-00002-of-00003.gguf": {"it lies loose", "make the folder " + filepath.Join(m.dir, "big") + ", and move its parts there, with the missing ones: 1 of 3 are here"},
		"all-00001-of-00002.gguf": {"it lies loose", "make the folder " + filepath.Join(m.dir, "all") + ", and move all 2 parts there"},
		"My Model":                {"a model cannot be called as its folder is", "rename the folder: " + filepath.Join(m.dir, "My-Model")},
		"owner":                   {"lie deeper than", "move " + filepath.Join(m.dir, "owner", "repo") + " into " + m.dir},
		"two":                     {"several GGUF files: a.gguf, b.gguf", "leave the one that is meant in " + filepath.Join(m.dir, "two")},
		"cut":                     {"parts of it are missing: 2 of 3 are there, and number 2 is not", "put the missing parts into"},
		"mixed":                   {"several GGUF files", "leave the one that is meant"},
	} {
		i := slices.IndexFunc(list, func(o ops.Model) bool { return o.ID == id })
		if i < 0 {
			t.Errorf("%s is not listed", id)
			continue
		}
		if got := list[i]; !strings.Contains(got.Error, want.why) || !strings.Contains(got.Hint, want.hint) {
			t.Errorf("%s: %q, %q", id, got.Error, got.Hint)
		}
	}
	if len(list) != 9 {
		t.Errorf("listed are %+v", list)
	}
	_, err := m.choose(t.Context(), "loose")
	wantCode(t, err, ops.CodeConflict, "the model loose.gguf cannot be used: it lies loose", "make the folder")
}

func TestAPipeAmongTheModelsIsToldOfAndNotWaitedFor(t *testing.T) {
	m := newModels(t)
	m.put(t, "good/a.gguf", testdata.Tinybee())
	m.put(t, "fifo/.keep", nil)
	m.put(t, "split/x-00001-of-00002.gguf", testdata.Tinybee())
	m.put(t, "cardless/a.gguf", testdata.Tinybee())
	m.put(t, "eyes/a.gguf", testdata.Tinybee())
	for _, name := range []string{
		"fifo/model.gguf", "loose.gguf", "pipe", "split/x-00002-of-00002.gguf", "cardless/" + manifestFile, "eyes/mmproj-a.gguf",
	} {
		if err := syscall.Mkfifo(filepath.Join(m.dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	why := map[string]string{}
	for _, model := range m.list() {
		why[model.ID] = model.Error
	}
	want := map[string]string{
		"good": "", "cardless": "", "eyes": "", "fifo": "model.gguf is no regular file",
		"split": "x-00002-of-00002.gguf is no regular file", "loose.gguf": "loose.gguf is no regular file",
	}
	if !maps.Equal(why, want) {
		t.Errorf("listed are %q", why)
	}
	_, err := m.choose(t.Context(), "fifo")
	wantCode(t, err, ops.CodeConflict, "cannot be used: model.gguf is no regular file", "rbee model delete fifo")
	if _, err := m.choose(t.Context(), ""); err != nil {
		t.Error(err)
	}
	if err := m.remove("fifo"); err != nil {
		t.Error(err)
	}
}

func TestWhatNobodyWentOnWithForAWeekGoesWithTheNextDownload(t *testing.T) {
	m, s := newModels(t), server(t)
	aged := time.Now().Add(-2 * keepPartial)
	for id, at := range map[string]time.Time{"old": aged, "young": time.Now(), "busy": aged} {
		folder, err := m.partialFolder(t.Context(), id, "https://host/"+id+".gguf", 100)
		if err != nil {
			t.Fatal(err)
		}
		state := filepath.Join(folder, "model.gguf.state")
		if err := os.WriteFile(state, []byte(`{"size_bytes":100,"have":[{"from":0,"to":40},{"from":50,"to":60}]}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(state, at, at); err != nil {
			t.Fatal(err)
		}
	}
	m.underway["busy"] = &download{source: "https://host/busy.gguf"}
	if _, err := m.download(t.Context(), s.URL+"/tiny.gguf", ""); err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, model := range m.others() {
		left = append(left, model.ID+": "+model.Error)
	}
	if !slices.Equal(left, []string{"busy: it is being downloaded", "young: it has come in part only: 50 B of 100 B"}) {
		t.Errorf("there is %q", left)
	}
}
