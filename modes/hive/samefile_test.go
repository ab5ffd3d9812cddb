package hive

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"rbee.dev/rbee/ops"
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
	url, asked := counted(t)
	m := newModelsOf(t, url)
	first, err := m.download(t.Context(), "hf:bees/tiny", "one")
	if err != nil {
		t.Fatal(err)
	}
	before := asked(tinyFile)
	var said story
	second, err := m.download(said.told(t.Context()), "hf:bees/tiny", "two")
	if err != nil || second.SHA256 != first.SHA256 || second.Source != first.Source || second.Size != first.Size || second.Error != "" {
		t.Fatalf("%+v, %v", second, err)
	}
	if n := asked(tinyFile); n != before {
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

// TestAFileThatIsOnItsWayUnderAnotherNameComesOnce: unless whoever brings it gives up.
func TestAFileThatIsOnItsWayUnderAnotherNameComesOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		first, second string // what is asked for; %s is the server, %S in capitals
		givenUp       bool
	}{
		"of a hub":                 {first: "hf:bees/tiny", second: "hf:bees/tiny:tiny-Q4_K_M.gguf"},
		"of a hub, which gives up": {first: "hf:bees/tiny", second: "hf:bees/tiny:tiny-Q4_K_M.gguf", givenUp: true},
		"at a URL":                 {first: "%s" + tinyFile, second: "%s" + tinyFile},
		"at a URL in capitals":     {first: "%s" + tinyFile, second: "%S" + tinyFile},
		"at a URL, which gives up": {first: "%s" + tinyFile, second: "%s" + tinyFile, givenUp: true},
	} {
		t.Run(name, func(t *testing.T) { comesOnce(t, tt.first, tt.second, tt.givenUp) })
	}
}

const tinyFile = "/bees/tiny/resolve/main/tiny-Q4_K_M.gguf"

func comesOnce(t *testing.T, one, two string, givenUp bool) {
	t.Helper()
	var asked atomic.Int64 // for the file itself
	gate, inner := make(chan struct{}), hub(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/resolve/") {
			select {
			case <-gate:
			case <-r.Context().Done():
				return
			}
			asked.Add(1)
		}
		inner.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	at := strings.NewReplacer("%s", s.URL, "%S", strings.Replace(s.URL, "http", "HTTP", 1)).Replace
	m := newModelsOf(t, s.URL)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	leading, waiting := make(chan struct{}), make(chan struct{})
	sees := func(action string, seen chan struct{}) func(ops.Event) {
		return func(e ops.Event) {
			if n, ok := e.(ops.NarrationEvent); ok && n.Action == action {
				close(seen)
			}
		}
	}
	leader, follower := story{see: sees("model_download", leading)}, story{see: sees("model_wait", waiting)}
	var first, second ops.Model
	var failed, err error
	var group sync.WaitGroup
	group.Go(func() { first, failed = m.download(leader.told(ctx), at(one), "one") })
	<-leading
	group.Go(func() {
		second, err = m.download(follower.told(t.Context()), at(two), "two")
	})
	<-waiting
	if givenUp {
		cancel(ops.Errorf(ops.CodeCancelled, "the job was cancelled"))
	}
	close(gate)
	group.Wait()
	text := strings.Join(follower.lines, "\n")
	if err != nil || second.ID != "two" || second.Error != "" || !strings.Contains(text, "the very file is being downloaded already, as the model one: waiting for it") {
		t.Fatalf("the second gets %+v, %v, and hears %s", second, err, text)
	}
	if givenUp {
		wantCode(t, failed, ops.CodeCancelled, "the job was cancelled")
		return
	}
	if failed != nil || strings.Contains(text, "bringing") || !os.SameFile(stat(t, first.Path), stat(t, second.Path)) {
		t.Errorf("it comes twice: %v, %s", failed, text)
	}
	if p := follower.progress; len(p) == 0 || p[len(p)-1].Done != first.Size {
		t.Errorf("the second sees the progress %+v", p)
	}
	before := asked.Load()
	if again, err := m.download(t.Context(), at(two), "two"); err != nil || again.ID != "two" || asked.Load() > before+1 {
		t.Errorf("asked for again: %+v, %v, %d requests", again, err, asked.Load()-before)
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
