package process

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func record(t *testing.T, s *Server, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	return w
}

// front serves s over HTTP, as a client sees it.
func front(t *testing.T, s *Server) string {
	t.Helper()
	f := httptest.NewServer(s)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		f.Close()
	})
	return f.URL
}

// read gets what is at url, and how it ended.
func read(t *testing.T, url string) (string, error) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

func TestAnswersThatBreakOffDoNotEndInSilence(t *testing.T) {
	const reason = "fake-server ended (exit status 3); its last lines: fake: out of memory (it is started again)"
	for _, c := range []struct {
		name, query string
		text        string // what comes, at least
		whole       bool   // whether the answer ends as answers do
	}{
		{"well", "", "data: {\"n\":1}\n\ndata: [DONE]\n\n", true},
		{"well, to the end of the connection", "?unframed", "data: {\"n\":1}\n\ndata: [DONE]\n\n", true},
		{"between events", "?die", "data: {\"n\":1}\n\ndata: {\"error\":{\"code\":\"unavailable\",\"message\":\"" + reason + "\"", true},
		{"by a program that lives on", "?cut", "data: {\"n\":1}\n\ndata: {\"error\":{\"code\":\"internal\",\"message\":\"fake-server broke its answer off in the middle\"", true},
		{"to the end of the connection", "?die&unframed", "data: {\"error\":{\"code\":\"unavailable\",\"message\":\"" + reason + "\"", true},
		{"within an event", "?die&partial", "data: {\"n\":1}\n\n", false},
		{"what is no stream of events", "?die&plain", "data: {\"n\":1}\n\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := read(t, front(t, run(t, fake(t, "well")))+"/stream"+c.query)
			if !strings.Contains(text, c.text) || (err == nil) != c.whole {
				t.Errorf("got %q, %v", text, err)
			}
		})
	}
}

// TestAConnectionThatClosesBeforeAnAnswerIsSaidToHave: by a program that lives on, and by
// one that ends.
func TestAConnectionThatClosesBeforeAnAnswerIsSaidToHave(t *testing.T) {
	for query, want := range map[string]struct {
		status int
		said   string
	}{
		"":     {http.StatusInternalServerError, "fake-server closed the connection before it said anything"},
		"?die": {http.StatusServiceUnavailable, "fake-server ended (exit status 3); its last lines: fake: out of memory"},
	} {
		s := run(t, fake(t, "well"))
		if w := record(t, s, "POST", "/drop"+query, "{}"); w.Code != want.status || !strings.Contains(w.Body.String(), want.said) {
			t.Errorf("%q: %d %s", query, w.Code, w.Body)
		}
	}
}

func TestAHandlerWithoutAConnectionIsAbortedToo(t *testing.T) {
	s := run(t, fake(t, "well"))
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("it ends with %v", err)
		}
	}()
	record(t, s, "GET", "/stream?die&plain", "")
	t.Error("it returns")
}

func TestEventsComeAsTheyAreMadeAndEndWithTheirReader(t *testing.T) {
	s := run(t, fake(t, "well"))
	url := front(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/stream?wait", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if line, err := bufio.NewReader(answer.Body).ReadString('\n'); err != nil || line != "data: {\"n\":1}\n" {
		t.Fatalf("the first event is %q, %v", line, err)
	}
	out := s.current() // the life that it is asked of
	cancel()
	for !strings.Contains(strings.Join(out.output.list(), "\n"), "given up") { // or the test's deadline
		<-out.output.wrote
	}
}

func TestTheTailKeepsTheLastLines(t *testing.T) {
	out := newTail(nil)
	for range 300 {
		_, _ = io.WriteString(out, "one\r\ntw")
		_, _ = io.WriteString(out, "o\rthree\n\n")
	}
	_, _ = io.WriteString(out, strings.Repeat("x", 10_000)+"\nlast \xff")
	list := out.list()
	if n := len(list); n != keepLines+1 || list[n-1] != "last \uFFFD" || len(list[n-2]) != keepBytes || list[n-3] != "three" || list[n-4] != "two" {
		t.Errorf("%d lines, the last ones %.20q", n, list[len(list)-4:])
	}
}

func TestAFastAnswerIsNotCutShort(t *testing.T) {
	url := front(t, run(t, fake(t, "well"))) + "/stream"
	for range 300 {
		answer, err := http.Post(url, "application/json", strings.NewReader(`{"prompt":"bee"}`))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || !strings.HasSuffix(string(text), "data: [DONE]\n\n") {
			t.Fatalf("got %q, %v", text, err)
		}
	}
}
