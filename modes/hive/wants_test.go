package hive

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

// relay is a hive's wants behind a server, and a test that is its queen.
type relay struct {
	*httptest.Server
	t *testing.T
	w *wants
}

func newRelay(t *testing.T, w *wants) *relay {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+ops.WantsPath, w.serveWants)
	mux.HandleFunc("PUT "+ops.AnswersPath+"{id}", w.serveAnswer)
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		w.close()
		s.Close()
	})
	return &relay{s, t, w}
}

// listen opens the stream of wants and returns what reads the next of them.
func (r *relay) listen() (next func() ops.Want, end func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL+ops.WantsPath, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil || answer.StatusCode != http.StatusOK {
		r.t.Fatalf("%v, %v", answer, err)
	}
	lines := json.NewDecoder(bufio.NewReader(answer.Body))
	next = func() (w ops.Want) {
		r.t.Helper()
		if err := lines.Decode(&w); err != nil {
			r.t.Errorf("the stream of wants: %v", err)
		}
		return w
	}
	end = func() {
		cancel()
		_ = answer.Body.Close()
		http.DefaultClient.CloseIdleConnections()
	}
	r.t.Cleanup(end)
	return next, end
}

// answer sends an answer and returns the status of its reception.
func (r *relay) answer(id string, body io.Reader) int {
	r.t.Helper()
	q, err := http.NewRequestWithContext(r.t.Context(), http.MethodPut, r.URL+ops.AnswersPath+id, body)
	if err != nil {
		r.t.Fatal(err)
	}
	got, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0
	}
	defer got.Body.Close()
	return got.StatusCode
}

const told = "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"source\":\"here\"}"

func TestAHiveAsksItsQueenAgainWhenHerConnectionBreaks(t *testing.T) {
	r := newRelay(t, newWants())
	done := make(chan error, 1)
	var got ops.ModelFiles
	go func() { done <- r.w.tell(t.Context(), ops.Want{HiveID: "gpu1", Model: "bee"}, &got) }()
	next, end := r.listen()
	first := next()
	if first.HiveID != "gpu1" || first.Model != "bee" || first.ID == "" {
		t.Errorf("it wants %+v", first)
	}
	end() // without an answer
	next, _ = r.listen()
	if again := next(); again != first {
		t.Errorf("it wants %+v again", again)
	}
	if code := r.answer(first.ID, strings.NewReader("no response")); code != http.StatusBadRequest {
		t.Errorf("to what is no response it says %d", code)
	}
	if again := next(); again != first {
		t.Errorf("a third time it wants %+v", again)
	}
	if code := r.answer(first.ID, strings.NewReader(told)); code != http.StatusNoContent {
		t.Errorf("to the answer it says %d", code)
	}
	if err := <-done; err != nil || got.Source != "here" {
		t.Errorf("it hears %+v, %v", got, err)
	}
	if code := r.answer(first.ID, strings.NewReader(told)); code != http.StatusNotFound {
		t.Errorf("to a second answer it says %d", code)
	}
}

func TestAQueenThatComesAgainReplacesHerOlderConnection(t *testing.T) {
	r := newRelay(t, newWants())
	old, _ := r.listen()
	done := make(chan error, 1)
	go func() {
		var got ops.ModelFiles
		done <- r.w.tell(t.Context(), ops.Want{HiveID: "gpu1", Model: "bee"}, &got)
	}()
	first := old()
	next, _ := r.listen() // the older one is dead, and nobody has noticed
	if again := next(); again != first {
		t.Errorf("the newer one is asked for %+v", again)
	}
	r.answer(first.ID, strings.NewReader(told))
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWhoGivesUpWaitsForNoAnswer(t *testing.T) {
	r := newRelay(t, newWants())
	next, _ := r.listen()
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := ops.Errorf(ops.CodeCancelled, "enough")
	read := make(chan error, 1)
	go func() {
		answer, err := r.w.ask(ctx, ops.Want{HiveID: "gpu1", Model: "bee", File: "x.gguf"})
		if err == nil {
			_, err = io.ReadAll(answer.Body) // of which the rest never comes
			_ = answer.Body.Close()
		}
		read <- err
	}()
	want := next()
	body, rest := io.Pipe()
	sent := make(chan int, 1)
	go func() { sent <- r.answer(want.ID, body) }()
	if _, err := io.WriteString(rest, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nGGUF"); err != nil {
		t.Fatal(err)
	}
	cancel(enough)
	if err := <-read; err == nil {
		t.Error("what was cancelled was read to its end")
	}
	_ = rest.CloseWithError(io.ErrClosedPipe)
	<-sent
	if _, err := r.w.ask(ctx, ops.Want{}); err != enough { //nolint:errorlint // the very same
		t.Errorf("asking when nobody waits: %v", err)
	}
}

func TestAnAnswerThatIsAnErrorIsThatErrorAndSaysWhetherItPasses(t *testing.T) {
	stopped := `{"code":"unavailable","message":"the hive gpu1 is stopped","hint":"start it"}`
	for _, c := range []struct {
		status, body string
		code         ops.Code
		says         string
		passes       bool
	}{
		{"503 Service Unavailable", stopped, ops.CodeUnavailable, "the hive gpu1 is stopped", true},
		{"409 Conflict", stopped, ops.CodeUnavailable, "the hive gpu1 is stopped", false},
		{"404 Not Found", `{"code":"not_found","message":"there is no hive \"gpu1\""}`, ops.CodeNotFound, `there is no hive "gpu1"`, false},
		{"502 Bad Gateway", "<html>", ops.CodeUnavailable, "the queen answers 502 Bad Gateway", true},
	} {
		r := newRelay(t, newWants())
		next, end := r.listen()
		check := func(by string, err error) {
			if ops.CodeOf(err) != c.code || !strings.HasSuffix(err.Error(), c.says) || fetch.Passes(err) != c.passes || c.body == stopped && ops.AsError(err).Hint != "start it" {
				t.Errorf("%s, %s: %v (%s), which passes: %t", c.status, by, err, ops.CodeOf(err), fetch.Passes(err))
			}
		}
		reply := func() {
			r.answer(next().ID, strings.NewReader(fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", c.status, len(c.body), c.body)))
		}
		asked := make(chan error, 1)
		go func() { asked <- r.w.tell(t.Context(), ops.Want{HiveID: "gpu1", Model: "bee"}, &ops.ModelFiles{}) }()
		reply()
		check("told", <-asked)
		go func() {
			q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "hive://gpu1/bee/x.gguf", nil)
			if err == nil {
				_, err = r.w.RoundTrip(q)
			}
			asked <- err
		}()
		reply()
		check("asked for a file", <-asked)
		end()
	}
}

func TestAModelsFilesAreGivenToOtherHivesAndNothingElseIs(t *testing.T) {
	m := newModels(t)
	m.put(t, "bee/Weights.gguf", testdata.Tinybee())
	m.put(t, "bee/mmproj-bee.gguf", testdata.Tinybee())
	m.put(t, "bee/secret.txt", []byte("no"))
	m.put(t, "bad/model.gguf", testdata.Tinybee()[:5000])
	if err := os.Symlink("/etc/passwd", filepath.Join(m.dir, "bee", "link.gguf")); err != nil {
		t.Fatal(err)
	}
	get := func(path string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+path, nil)
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		m.serveFiles(w, r)
		return w
	}
	for path, code := range map[string]int{
		"bee/secret.txt": 404, "bee/../bad/model.gguf": 404, "none": 404, "none/x.gguf": 404, "../x": 400, "bad": 409, "bee/link.gguf": 500, "%2e%2e/x.gguf": 400,
	} {
		if got := get(ops.FilesPath + path); got.Code != code {
			t.Errorf("%s: %d %s", path, got.Code, got.Body)
		}
	}
	if err := os.Remove(filepath.Join(m.dir, "bee", "link.gguf")); err != nil {
		t.Fatal(err)
	}
	var list ops.ModelFiles
	if err := json.Unmarshal(get(ops.FilesPath+"bee").Body.Bytes(), &list); err != nil || len(list.Files) != 2 || list.Files[0].Name != "Weights.gguf" || list.Files[1].Name != "mmproj-bee.gguf" {
		t.Fatalf("its files are %+v, %v", list, err)
	}
	part := get(ops.FilesPath+"bee/Weights.gguf", "Range", "bytes=4-9")
	if part.Code != http.StatusPartialContent || part.Body.String() != string(testdata.Tinybee()[4:10]) || part.Header().Get("ETag") == "" {
		t.Errorf("a part: %d %v", part.Code, part.Header())
	}
	if other := get(ops.FilesPath+"bee/Weights.gguf", "Range", "bytes=4-9", "If-Range", `"another"`); other.Code != http.StatusOK {
		t.Errorf("a part of another file: %d", other.Code)
	}
	for range 2 { // the second time from memory
		var sum ops.FileSum
		if err := json.Unmarshal(get(ops.FilesPath+"bee/Weights.gguf?sum=1").Body.Bytes(), &sum); err != nil || sum.SHA256 != sumOfBee() {
			t.Errorf("its sum: %+v, %v", sum, err)
		}
	}
}
