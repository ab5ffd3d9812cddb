package hive

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// counted is a hub that counts what is asked of it by path.
func counted(t *testing.T) (url string, asked func(path string) int) {
	t.Helper()
	inner := hub(t)
	var mu sync.Mutex
	count := map[string]int{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		count[r.URL.Path]++
		mu.Unlock()
		inner.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, func(path string) int {
		mu.Lock()
		defer mu.Unlock()
		return count[path]
	}
}

func TestAFileThatIsHereUnderAnotherNameIsLinkedAndNotFetched(t *testing.T) {
	const file = "/bees/tiny/resolve/main/tiny-Q4_K_M.gguf"
	url, asked := counted(t)
	m := newModelsOf(t, url)
	first, err := m.download(t.Context(), "hf:bees/tiny", "one")
	if err != nil {
		t.Fatal(err)
	}
	before := asked(file)
	var said story
	second, err := m.download(said.told(t.Context()), "hf:bees/tiny", "two")
	if err != nil || second.SHA256 != first.SHA256 || second.Source != first.Source || second.Size != first.Size || second.Error != "" {
		t.Fatalf("%+v, %v", second, err)
	}
	if n := asked(file); n != before {
		t.Errorf("the file was asked for %d times more", n-before)
	}
	if text := strings.Join(said.lines, "\n"); !strings.Contains(text, "the very file is here already, by its SHA-256, as one of the model one: taking that") || strings.Contains(text, "bringing") {
		t.Errorf("it says %s", text)
	}
	a, b := stat(t, first.Path), stat(t, second.Path)
	if !os.SameFile(a, b) || m.shared("one") != first.Size {
		t.Errorf("it takes room twice; %d bytes are shared", m.shared("one"))
	}
	if err := m.remove("one"); err != nil {
		t.Fatal(err)
	}
	if still, err := m.get("two"); err != nil || still.Error != "" || m.shared("two") != 0 {
		t.Errorf("without the first: %+v, %v", still, err)
	}
	if again, err := m.download(t.Context(), "hf:bees/tiny", "two"); err != nil || again.ID != "two" {
		t.Errorf("asked for again: %+v, %v", again, err)
	}
}

// TestADamagedFileIsFetchedAndNotLinked: nor is anything written into it, if it was
// linked in an earlier try.
func TestADamagedFileIsFetchedAndNotLinked(t *testing.T) {
	url, _ := counted(t)
	m := newModelsOf(t, url)
	first, err := m.download(t.Context(), "hf:bees/tiny", "one")
	if err != nil {
		t.Fatal(err)
	}
	damaged, err := os.ReadFile(first.Path)
	if err != nil {
		t.Fatal(err)
	}
	damaged[len(damaged)-1] ^= 1
	if err := os.WriteFile(first.Path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	temp, err := m.partialFolder(t.Context(), "two", first.Source, first.Size)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(first.Path, filepath.Join(temp, modelFile)); err != nil {
		t.Fatal(err)
	}
	second, err := m.download(t.Context(), "hf:bees/tiny", "two")
	if err != nil || second.SHA256 != first.SHA256 || second.Error != "" {
		t.Fatalf("%+v, %v", second, err)
	}
	if text, err := os.ReadFile(first.Path); err != nil || string(text) != string(damaged) || os.SameFile(stat(t, first.Path), stat(t, second.Path)) {
		t.Errorf("the damaged one was written to, or linked: %v", err)
	}
}

func stat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}
