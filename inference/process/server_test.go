package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

func TestAServerIsReadyWhenItSaysSo(t *testing.T) {
	for _, how := range []string{"well", "slow"} {
		t.Run(how, func(t *testing.T) {
			s := run(t, fake(t, how))
			answer, err := s.Get(t.Context(), "/health")
			if err != nil || answer.StatusCode != http.StatusOK {
				t.Fatalf("got %v, %v", answer, err)
			}
			_ = answer.Body.Close()
		})
	}
}

func TestReadinessIsAskedForOnTheFirstPathThatIsKnown(t *testing.T) {
	o := fake(t, "well")
	o.Ready = []string{"/livez", "/health"}
	run(t, o)
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	missing := fake(t, "")
	missing.Prepare = func(context.Context) (Launch, error) { return Launch{Path: "/nowhere/fake-server"}, nil }
	unprepared := fake(t, "")
	unprepared.Prepare = func(context.Context) (Launch, error) { return Launch{}, errors.New("no port is free") }
	for _, c := range []struct {
		name, says string
		options    Options
	}{
		{"it ends", "fake-server ended (exit status 7); its last lines: fake: failed to load model", fake(t, "broken")},
		{"it is not there", "start fake-server: fork/exec /nowhere/fake-server: no such file", missing},
		{"it cannot be prepared", "no port is free", unprepared},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Start(t.Context(), c.options)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

func TestAStartThatIsGivenUpEndsTheProcess(t *testing.T) {
	o := fake(t, "well")
	o.Ready = []string{"/echo"} // never says 200
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	prepare := o.Prepare
	o.Prepare = func(context.Context) (Launch, error) {
		time.AfterFunc(20*time.Millisecond, func() { cancel(why) })
		return prepare(ctx)
	}
	if _, err := Start(ctx, o); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}

func TestAServerThatDiesIsStartedAgain(t *testing.T) {
	o := fake(t, "well")
	told := make(chan error, 6)
	o.Changed = func(why error) { told <- why }
	s := run(t, o)
	for range 3 {
		old := s.PID()
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for s.PID() == old { // until that is noticed
			time.Sleep(time.Millisecond)
		}
		if status, body := ask(t, s, "POST", "/echo?x=1", "hello"); status != http.StatusTeapot || body != "POST /echo?x=1 hello" {
			t.Fatalf("after it was killed: %d %q", status, body)
		}
		if why := <-told; why == nil || !strings.Contains(why.Error(), "signal 9") {
			t.Errorf("the first that is told is %v", why)
		}
		if back := <-told; back != nil {
			t.Errorf("then %v", back)
		}
	}
}

func TestAServerWhoseFileIsGoneIsNotStartedAgain(t *testing.T) {
	o := fake(t, "well")
	o.File = filepath.Join(t.TempDir(), "model")
	if err := os.WriteFile(o.File, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 6)
	o.Changed = func(why error) { told <- why }
	s := run(t, o)
	if err := os.Remove(o.File); err != nil {
		t.Fatal(err)
	}
	if status, _ := ask(t, s, "POST", "/echo", "hello"); status != http.StatusTeapot {
		t.Errorf("while it runs it answers %d", status)
	}
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	why := <-told
	if ops.CodeOf(why) != ops.CodeNotFound || why.Error() != "fake-server ended (signal 9, killed) and is not started again: its model's file is gone: "+o.File {
		t.Errorf("it says %v", why)
	}
	if status, text := ask(t, s, "POST", "/echo", "hello"); status != http.StatusNotFound || !strings.Contains(text, "its model's file is gone") {
		t.Errorf("then it answers %d %s", status, text)
	}
	if err := s.Close(); err != nil || len(told) > 0 {
		t.Errorf("%v, and %d more is told", err, len(told))
	}
}

func TestWhileItCannotBeStartedRequestsAreToldWhy(t *testing.T) {
	folder := t.TempDir()
	o := fake(t, "once:"+filepath.Join(folder, "flag"))
	asked := make(chan int, 10)
	o.Pause = func(failures int) time.Duration {
		asked <- failures
		if failures < 2 {
			return 0
		}
		return time.Hour
	}
	s := run(t, o)
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if first, second := <-asked, <-asked; first != 1 || second != 2 {
		t.Errorf("failures are counted %d, %d", first, second)
	}
	status, text := ask(t, s, "GET", "/echo", "")
	if status != http.StatusServiceUnavailable || !strings.Contains(text, "exit status 8") || !strings.Contains(text, "fatal: not twice") ||
		!strings.Contains(text, "(it is started again in 1h0m0s)") || !strings.Contains(text, `"code":"unavailable"`) {
		t.Errorf("got %d %s", status, text)
	}
}

func TestBackoffGrowsToHalfAMinute(t *testing.T) {
	for failures, want := range map[int]time.Duration{
		1: 0, 2: 500 * time.Millisecond, 3: time.Second, 5: 4 * time.Second, 9: 30 * time.Second, 1000: 30 * time.Second,
	} {
		if got := Backoff(failures); got != want {
			t.Errorf("after %d failures: %s, want %s", failures, got, want)
		}
	}
}

func TestCloseEndsTheProcessAndThoseItStarted(t *testing.T) {
	for _, how := range []string{"well", "stubborn", "family", "stubborn family"} {
		t.Run(how, func(t *testing.T) {
			o := fake(t, how)
			o.Patience = 50 * time.Millisecond
			s, err := Start(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			pid := s.PID()
			if pid == 0 || !alive(pid) {
				t.Fatalf("process %d does not run", pid)
			}
			group := members(t, pid)
			if want := 1 + strings.Count(how, "family"); len(group) != want {
				t.Fatalf("the group is %v, want %d", group, want)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			for _, p := range group {
				if p == pid && alive(p) { // reaped
					t.Errorf("process %d goes on", p)
				}
				for alive(p) { // another's child: the kernel has it in hand
					time.Sleep(time.Millisecond)
				}
			}
			if status, text := ask(t, s, "GET", "/echo", ""); status != http.StatusServiceUnavailable || !strings.Contains(text, "stopping") {
				t.Errorf("afterwards: %d %s", status, text)
			}
			if s.PID() != 0 {
				t.Error("it still has a pid")
			}
		})
	}
}

func TestCloseWhileItWaitsToStartAgain(t *testing.T) {
	o := fake(t, "well")
	waits := make(chan struct{})
	o.Pause = func(int) time.Duration {
		close(waits)
		return time.Hour
	}
	s := run(t, o)
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-waits // the cleanup closes it
}

// members are the processes of the group.
func members(t *testing.T, group int) (list []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(files) == 0 {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI needs /proc: %v", err)
		}
		t.Skip("needs /proc")
	}
	for _, f := range files {
		stat, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		var pid, parent, of int
		var state string
		_, rest, _ := strings.Cut(string(stat), ") ")
		if _, err := fmt.Sscan(rest, &state, &parent, &of); err == nil && of == group {
			_, _ = fmt.Sscan(string(stat), &pid)
			list = append(list, pid)
		}
	}
	return list
}

func TestAKeyIsSentInPlaceOfTheClients(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	s := run(t, Options{Name: "fake-server", Prepare: func(context.Context) (Launch, error) {
		return Launch{
			Path: os.Args[0], Args: []string{address}, Env: append(os.Environ(), asServer+"=tcp"),
			Network: "tcp", Address: address, Key: "secret",
		}, nil
	}})
	w := record(t, s, "GET", "/echo", "")
	if w.Header().Get("X-Key") != "Bearer secret" {
		t.Errorf("it was sent %q", w.Header().Get("X-Key"))
	}
}

func ask(t *testing.T, s *Server, method, path, body string) (int, string) {
	t.Helper()
	w := record(t, s, method, path, body)
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(text)
}

func TestDeathsSayWhatMatters(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"nothing was said", nil, "x ended (signal 9, killed)"},
		{"no complaint of one that was killed", []string{"a", "0.00.014.095 I b", "c"}, "x ended (signal 9, killed)"},
		{
			"complaints",
			[]string{"0.00.021.874 E gguf: failed to read", "ok", "2026-11-24 01:02:03,456 ERROR boom", "fine"},
			"x ended (signal 9, killed); its last lines: gguf: failed to read | ERROR boom",
		},
		{
			"errors in whatever words",
			[]string{"0.00.041.318 E llama_model_load: no backends are loaded", "0.00.041.320 W fit: encountered an error", "0.00.041.321 W fine"},
			"x ended (signal 9, killed); its last lines: llama_model_load: no backends are loaded | fit: encountered an error",
		},
		{"no complaint in what is for information", []string{"0.00.014.095 I load: loading 'failed.gguf'"}, "x ended (signal 9, killed)"},
		{"one complaint many times", []string{"error 1", "error 1", "error 1"}, "x ended (signal 9, killed); its last lines: error 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &Death{Name: "x", Status: "signal 9, killed", Lines: c.lines}
			if d.Error() != c.want {
				t.Errorf("got %q, want %q", d.Error(), c.want)
			}
		})
	}
}

func TestADeathCanBeHadFromTheError(t *testing.T) {
	_, err := Start(t.Context(), fake(t, "broken"))
	d, ok := errors.AsType[*Death](err)
	if !ok || len(d.Lines) != 2 || ops.CodeOf(err) != ops.CodeUnavailable {
		t.Errorf("got %#v of %v", d, err)
	}
}
