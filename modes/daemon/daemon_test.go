package daemon_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newHome(t *testing.T) home.Home {
	t.Helper()
	root := t.TempDir()
	h := home.Home{Config: filepath.Join(root, "config"), State: filepath.Join(root, "state"), Cache: filepath.Join(root, "cache")}
	if err := h.Create(); err != nil {
		t.Fatal(err)
	}
	return h
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// sleeper starts a process that only waits.
func sleeper(t *testing.T, script string) *daemon.Child {
	t.Helper()
	child, err := daemon.Spawn(daemon.Command{
		Binary: "/bin/sh", Args: []string{"-c", script}, Log: filepath.Join(t.TempDir(), "logs", "x.log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = child.Signal(syscall.SIGKILL)
		<-child.Done()
	})
	return child
}

func TestABuildIsItsContentAndIsRememberedUntilItChanges(t *testing.T) {
	h := newHome(t)
	path := write(t, filepath.Join(t.TempDir(), "rbee"), "one")
	build := func() string {
		t.Helper()
		b, err := daemon.Build(h, path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := build()
	if len(first) != 12 || build() != first {
		t.Errorf("builds %q and %q", first, build())
	}
	write(t, path, "another")
	if build() == first {
		t.Error("a changed binary has the old build")
	}
}

func TestDaemonsRunFromACopyAndOldOnesArePruned(t *testing.T) {
	h := newHome(t)
	path := filepath.Join(t.TempDir(), "rbee")
	install := func(text string) string {
		t.Helper()
		copied, err := daemon.Install(h, write(t, path, text))
		if err != nil {
			t.Fatal(err)
		}
		return copied
	}
	old, used, kept := install("old"), install("used"), install("kept")
	if got, err := daemon.Install(h, kept); err != nil || got != kept {
		t.Errorf("installing the copy itself: %s, %v", got, err)
	}
	if text, err := os.ReadFile(kept); err != nil || string(text) != "kept" || !strings.HasPrefix(filepath.Base(kept), "rbee-") {
		t.Errorf("%s holds %q, %v", kept, text, err)
	}
	pid, _, err := daemon.Lock(h.PIDFile("hive"), daemon.Record{Process: daemon.Self(), Binary: used})
	if err != nil {
		t.Fatal(err)
	}
	defer pid.Release() //nolint:errcheck // the folder goes anyway
	if err := daemon.Prune(h, kept); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{old: false, used: true, kept: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: there %v, want %v", path, err == nil, want)
		}
	}
	write(t, kept, "damaged")
	if again := install("kept"); again != kept {
		t.Fatalf("got %s", again)
	}
	if text, _ := os.ReadFile(kept); string(text) != "kept" {
		t.Error("a damaged copy was taken")
	}
	if err := os.Chmod(kept, 0o600); err != nil {
		t.Fatal(err)
	}
	install("kept")
	if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("a copy that cannot be run stays so: %v, %v", info.Mode(), err)
	}
}

func TestAPIDFileIsHeldByOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queen.pid")
	mine := daemon.Record{Process: daemon.Self(), Address: "here"}
	p, _, err := daemon.Lock(path, mine)
	if err != nil {
		t.Fatal(err)
	}
	if _, holder, err := daemon.Lock(path, daemon.Record{}); !errors.Is(err, daemon.ErrRunning) || holder.PID != mine.PID {
		t.Errorf("a second lock: %+v, %v", holder, err)
	}
	if r, alive, err := daemon.Running(path); err != nil || !alive || r.Address != "here" {
		t.Errorf("running: %+v, %v, %v", r, alive, err)
	}
	elsewhere := filepath.Join(t.TempDir(), "queen.pid")
	for _, name := range []string{"", ".lock"} { // without the lock, and with it
		text, err := os.ReadFile(path + name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, elsewhere+name, string(text))
		if r, alive, err := daemon.Running(elsewhere); err != nil || alive || r.PID != mine.PID {
			t.Errorf("a copy in another home: %+v, %v, %v", r, alive, err)
		}
	}
	if err := p.Release(); err != nil {
		t.Fatal(err)
	}
	if _, alive, err := daemon.Running(path); err != nil || alive {
		t.Errorf("after release: %v, %v", alive, err)
	}
	write(t, path, "{broken")
	if _, _, err := daemon.Running(path); err == nil {
		t.Error("a broken pid file was read")
	}
	if p, _, err = daemon.Lock(path, mine); err != nil {
		t.Errorf("a stale file is in the way: %v", err)
	} else if err := p.Release(); err != nil {
		t.Error(err)
	}
}

func TestAProcessIsItsPIDAndItsStart(t *testing.T) {
	self := daemon.Self()
	if !self.Alive() {
		t.Error("this process does not live")
	}
	if (daemon.Process{PID: self.PID, Start: "1"}).Alive() {
		t.Error("another process of the same pid was taken for this one")
	}
	if err := (daemon.Process{PID: self.PID, Start: "1"}).Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if (daemon.Process{}).Alive() || daemon.ProcessOf(1<<30).Alive() {
		t.Error("a process that never was lives")
	}
}

// lastLine is the last line of a file.
func lastLine(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

func TestASpawnedProcessHasALogAndTellsHowItEnded(t *testing.T) {
	log := filepath.Join(t.TempDir(), "logs", "x.log")
	t.Setenv("GREETING", "hello")
	child, err := daemon.Spawn(daemon.Command{Binary: "/bin/sh", Args: []string{"-c", `echo "$GREETING $RBEE_DETACHED"; exit 3`}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	<-child.Done()
	if err := child.Err(); err == nil || err.Error() != "exit status 3" {
		t.Errorf("it ended by %v", err)
	}
	if got := lastLine(t, log); got != "hello 1" {
		t.Errorf("its log ends with %q", got)
	}
	if _, err := daemon.Spawn(daemon.Command{Binary: filepath.Join(t.TempDir(), "none"), Log: log}); err == nil {
		t.Error("a binary that is not there was started")
	}
	plain := write(t, filepath.Join(t.TempDir(), "rbee"), "text")
	if err := os.Chmod(plain, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = daemon.Spawn(daemon.Command{Binary: plain, Log: log})
	if err == nil || !strings.Contains(ops.AsError(err).Hint, "no program may run from "+filepath.Dir(plain)) {
		t.Errorf("of one that may not be run: %v (%+v)", err, ops.AsError(err))
	}
}

func TestASpawnedProcessTellsThatItListens(t *testing.T) {
	for name, script := range map[string]string{
		"by a word":    `echo >&$RBEE_LISTENS_FD; exec sleep 60`,
		"or by ending": `sleep 60 3>&- & exit 1`,
	} {
		t.Run(name, func(t *testing.T) {
			<-sleeper(t, script).Listens()
		})
	}
	child := sleeper(t, `trap 'echo >&3; exec sleep 60' USR1; while :; do sleep 0.01; done`)
	select {
	case <-child.Listens():
		t.Error("it is said to listen before it said so")
	case <-time.After(50 * time.Millisecond):
	}
	if err := child.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	<-child.Listens()
}

func TestKillIsPoliteFirst(t *testing.T) {
	polite := sleeper(t, "sleep 60 & wait")
	if err := daemon.Kill(t.Context(), polite.Process, 10*time.Second); err != nil {
		t.Error(err)
	}
	<-polite.Done()
	if err := polite.Err(); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("it ended by %v", err)
	}
	deaf := sleeper(t, `trap "" TERM; while :; do sleep 0.05; done`)
	time.Sleep(50 * time.Millisecond) // until it is deaf
	if err := daemon.Kill(t.Context(), deaf.Process, 100*time.Millisecond); err != nil {
		t.Error(err)
	}
	<-deaf.Done()
	if err := deaf.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("it ended by %v", err)
	}
}

func TestLeftoversAreEndedAndTheirFoldersRemoved(t *testing.T) {
	h := newHome(t)
	child := sleeper(t, "sleep 60 & wait")
	folder := h.Worker("w1")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	p, _, err := daemon.Lock(filepath.Join(folder, home.WorkerPID), daemon.Record{Process: child.Process})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release() //nolint:errcheck // the folder is gone
	if ended, err := daemon.KillLeftovers(h); err != nil || ended != 1 {
		t.Fatalf("%d, %v", ended, err)
	}
	<-child.Done()
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestHowAnEndIsAskedFor(t *testing.T) {
	for _, tt := range []struct {
		name string
		ask  func(*daemon.Stopper, context.CancelCauseFunc)
		want daemon.Scope
	}{
		{"from inside", func(s *daemon.Stopper, _ context.CancelCauseFunc) { s.Ask(daemon.ScopeSelf); s.Ask(daemon.ScopeAll) }, daemon.ScopeSelf},
		{"SIGTERM", func(_ *daemon.Stopper, c context.CancelCauseFunc) { c(daemon.Signal{Signal: syscall.SIGTERM}) }, daemon.ScopeSelf},
		{"Ctrl-C", func(_ *daemon.Stopper, c context.CancelCauseFunc) { c(daemon.Signal{Signal: syscall.SIGINT}) }, daemon.ScopeAll},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			s := daemon.NewStopper()
			tt.ask(s, cancel)
			if got := s.Wait(ctx, daemon.ScopeSelf); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestServingAndShuttingDownOverHTTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := daemon.NewStopper()
	stop := daemon.Listen(t.Context(), l, s, zerolog.Nop())
	post := func(body string) int {
		t.Helper()
		answer, err := http.Post("http://"+l.Addr().String()+daemon.ShutdownPath, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	for _, body := range []string{"", "{}", `{"scope":"world"}`} {
		if status := post(body); status != http.StatusBadRequest {
			t.Errorf("%q: %d", body, status)
		}
	}
	if status := post(`{"scope":"all"}`); status != http.StatusAccepted {
		t.Errorf("got %d", status)
	}
	if scope := s.Wait(t.Context(), daemon.ScopeSelf); scope != daemon.ScopeAll {
		t.Errorf("got %s", scope)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestADaemonSaysWhatItsEndLoses: or that it will not end so.
func TestADaemonSaysWhatItsEndLoses(t *testing.T) {
	s := daemon.NewStopper()
	s.May = func(_ context.Context, scope daemon.Scope) (string, error) {
		if scope == daemon.ScopeSelf {
			return "", ops.Errorf(ops.CodeConflict, "it goes on").WithHint("make room")
		}
		return "honey", nil
	}
	post := func(scope daemon.Scope) (int, string) {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, daemon.ShutdownPath, strings.NewReader(`{"scope":"`+string(scope)+`"}`)))
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	if status, text := post(daemon.ScopeSelf); status != http.StatusConflict || text != `{"code":"conflict","message":"it goes on","hint":"make room"}` {
		t.Errorf("where it will not: %d %s", status, text)
	}
	if status, text := post(daemon.ScopeAll); status != http.StatusAccepted || text != `{"stopping":true,"warning":"honey"}` {
		t.Errorf("where it does: %d %s", status, text)
	}
	if scope := s.Wait(t.Context(), daemon.ScopeSelf); scope != daemon.ScopeAll {
		t.Errorf("it ends with %s", scope)
	}
}

func TestADaemonGetsNoFileOfItsStarters(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	handed, err := syscall.Dup(int(w.Fd())) // as a shell hands it on: not marked
	if err != nil {
		t.Fatal(err)
	}
	sleeper(t, "exec sleep 60")
	if err := errors.Join(w.Close(), syscall.Close(handed)); err != nil {
		t.Fatal(err)
	}
	if err := r.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the daemon holds the pipe: %d, %v", n, err)
	}
}

func TestADaemonFindsTheFilesThatItsStarterNamedFromWhereItWas(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	for name, value := range map[string]string{
		"RBEE_HOME": "rel", "RBEE_TLS_CERT": "c.pem", "RBEE_TLS_KEY": "", "RBEE_LLAMA_SERVER": "./llama-server", "RBEE_LLAMA_RPC_SERVER": "rpc-server",
	} {
		t.Setenv(name, value)
	}
	log := filepath.Join(folder, "x.log")
	child, err := daemon.Spawn(daemon.Command{
		Binary: "/bin/sh", Args: []string{"-c", `echo "$RBEE_HOME $RBEE_TLS_CERT,$RBEE_TLS_KEY $RBEE_LLAMA_SERVER $RBEE_LLAMA_RPC_SERVER"`}, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	<-child.Done()
	here, err := os.Getwd() // which may be another name of folder
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(here, "rel") + " " + filepath.Join(here, "c.pem") + ", " + filepath.Join(here, "llama-server") + " rpc-server"
	if got := lastLine(t, log); got != want {
		t.Errorf("it has %q, want %q", got, want)
	}
}
