package process

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

// socketOf is where the program listens.
func socketOf(t *testing.T, o Options) string {
	t.Helper()
	l, err := o.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l.Address
}

func TestAProgramThatTakesNoConnectionsAnyMoreIsStartedAgain(t *testing.T) {
	o := fake(t, "well")
	o.Silence = 100 * time.Millisecond
	changed := make(chan error, 4)
	o.Changed = func(why error) { changed <- why }
	socket := socketOf(t, o)
	s := run(t, o)
	first := s.PID()
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	if status, body := ask(t, s, "POST", "/echo", "hello"); status != http.StatusInternalServerError && status != http.StatusServiceUnavailable {
		t.Errorf("while nothing listens: %d %s", status, body)
	}
	if why := <-changed; ops.CodeOf(why) != ops.CodeUnavailable || !strings.Contains(why.Error(), "fake-server took no connections any more (dial unix ") || !strings.Contains(why.Error(), "so that it was ended; it is started again") {
		t.Errorf("it ended for %v", why)
	}
	if back := <-changed; back != nil {
		t.Errorf("it is not back: %v", back)
	}
	if status, body := ask(t, s, "POST", "/echo", "hello"); status != http.StatusTeapot || !strings.HasSuffix(body, "hello") {
		t.Errorf("the next one gets %d %q", status, body)
	}
	if alive(first) {
		t.Error("the first one still runs")
	}
}

func TestAProgramThatSoonListensAgainIsLeftAlone(t *testing.T) {
	o := fake(t, "well")
	socket := socketOf(t, o)
	s := run(t, o)
	pid := s.PID()
	if err := os.Rename(socket, socket+"-"); err != nil {
		t.Fatal(err)
	}
	if conn, err := s.Dial(t.Context()); !refused(err) {
		t.Errorf("while nothing listens: %v, %v", conn, err)
	}
	time.Sleep(deafAfter / 20)
	if err := os.Rename(socket+"-", socket); err != nil {
		t.Fatal(err)
	}
	time.Sleep(deafAfter / 10)
	if status, _ := ask(t, s, "POST", "/echo", "hello"); status != http.StatusTeapot || s.PID() != pid {
		t.Errorf("then it answers %d as process %d", status, s.PID())
	}
}

func TestAnAnswerIsNotCutBecauseNoOthersAreTaken(t *testing.T) {
	o := fake(t, "well")
	o.Silence = 500 * time.Millisecond
	socket := socketOf(t, o)
	s := run(t, o)
	front := httptest.NewServer(s)
	defer front.Close()
	answer, err := http.Post(front.URL+"/stream?tick", "application/json", strings.NewReader("{}")) //nolint:noctx // it ends by itself
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Dial(t.Context()); !refused(err) {
		t.Errorf("while nothing listens: %v", err)
	}
	if text, err := io.ReadAll(answer.Body); err != nil || !strings.HasSuffix(string(text), "data: [DONE]\n\n") {
		t.Errorf("it ends with %q, %v", text, err)
	}
}
