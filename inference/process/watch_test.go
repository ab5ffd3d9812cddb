package process

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSilenceIsWhatThoseWhoWaitHear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watch{}
		want := func(silence time.Duration, waiting int) {
			t.Helper()
			if s, n := w.silence(); s != silence || n != waiting {
				t.Errorf("it is %s of %d, want %s of %d", s, n, silence, waiting)
			}
		}
		time.Sleep(time.Hour)
		want(0, 0) // nobody waits
		w.begin()
		time.Sleep(time.Second)
		w.begin()
		time.Sleep(time.Second)
		want(2*time.Second, 2)
		w.heard()
		want(0, 2)
		time.Sleep(time.Second)
		w.end()
		w.end() // they gave up
		time.Sleep(time.Hour)
		want(time.Second, 0)
		w.begin() // and another one comes
		time.Sleep(time.Second)
		want(2*time.Second, 1)
	})
}

// hung asks a program that says nothing and returns what its reader is told, or
// "" when that takes longer than within.
func hung(t *testing.T, o Options, within time.Duration) string {
	t.Helper()
	s := run(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/stream?wait", strings.NewReader("{}"))
	s.ServeHTTP(w, r)
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		return ""
	}
	if status, body := ask(t, s, "POST", "/echo", "hello"); status != http.StatusTeapot || !strings.HasSuffix(body, "hello") {
		t.Errorf("the next one gets %d %q", status, body)
	}
	return string(text)
}

func TestAProgramThatHangsIsEndedAndStartedAgain(t *testing.T) {
	for _, how := range []string{"well", "stubborn"} {
		t.Run(how, func(t *testing.T) {
			o := fake(t, how)
			o.Silence, o.Progress = 200*time.Millisecond, "/progress"
			text := hung(t, o, time.Minute)
			if !strings.Contains(text, `"message":"fake-server hung: nothing came from it for `) || !strings.Contains(text, "though requests waited (1), so that it was ended; it is started again") || !strings.Contains(text, `"code":"timeout"`) {
				t.Errorf("got %q", text)
			}
		})
	}
}

func TestAProgramThatGetsOnIsLeftAlone(t *testing.T) {
	o := fake(t, "progress")
	o.Silence, o.Progress = 100*time.Millisecond, "/progress"
	if text := hung(t, o, time.Second); text != "" {
		t.Errorf("got %q", text)
	}
}

func TestAProgramThatComputesIsGivenLonger(t *testing.T) {
	o := fake(t, "busy")
	o.Silence = 200 * time.Millisecond
	began := time.Now()
	if text := hung(t, o, time.Minute); !strings.Contains(text, "hung") {
		t.Errorf("got %q", text)
	}
	if took := time.Since(began); took < computingFactor*o.Silence {
		t.Errorf("it was ended after %s", took)
	}
}

func TestAClientThatIsSlowToSendIsNoFaultOfTheProgram(t *testing.T) {
	o := fake(t, "well")
	o.Silence = 100 * time.Millisecond
	s := run(t, o)
	pid := s.PID()
	body, feed := io.Pipe()
	time.AfterFunc(500*time.Millisecond, func() {
		_, _ = feed.Write([]byte("late"))
		_ = feed.Close()
	})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/echo", body))
	if w.Code != http.StatusTeapot || !strings.HasSuffix(w.Body.String(), "late") || s.PID() != pid {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
}

func TestAProgramThatCannotGoOnIsStartedAgainThoughNobodyAsksIt(t *testing.T) {
	breaks, changed := make(chan struct{}, 1), make(chan error, 2)
	o := fake(t, "well")
	o.Broken = func(ctx context.Context) bool {
		select {
		case <-breaks:
			return true
		case <-ctx.Done():
			return false
		}
	}
	o.Explain = func(why error) error { return fmt.Errorf("its other half is gone: %w", why) }
	o.Changed = func(why error) { changed <- why }
	s := run(t, o)
	first := s.PID()
	for range 2 { // the next life is watched as well
		breaks <- struct{}{}
		if why := <-changed; why == nil || why.Error() != "its other half is gone: fake-server was ended; it is started again" {
			t.Errorf("it ended for %v", why)
		}
		if why := <-changed; why != nil {
			t.Errorf("it is not back: %v", why)
		}
	}
	if status, body := ask(t, s, "POST", "/echo", "hello"); status != http.StatusTeapot || !strings.HasSuffix(body, "hello") {
		t.Errorf("the next one gets %d %q", status, body)
	}
	if alive(first) {
		t.Error("the first one still runs")
	}
}

func TestWhoIsAnsweredByAProgramThatCannotGoOnIsToldWhy(t *testing.T) {
	breaks := make(chan struct{})
	o := fake(t, "well")
	o.Broken = func(ctx context.Context) bool {
		select {
		case <-breaks:
			return true
		case <-ctx.Done():
			return false
		}
	}
	s := run(t, o)
	front := httptest.NewServer(s)
	defer front.Close()
	answer, err := http.Post(front.URL+"/stream?wait", "application/json", strings.NewReader("{}")) //nolint:noctx // the server ends with the test
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	close(breaks)
	text, err := io.ReadAll(answer.Body)
	if err != nil || !strings.Contains(string(text), `"message":"fake-server was ended; it is started again"`) {
		t.Errorf("it ends with %q, %v", text, err)
	}
}
