package modes_test

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// sitting is a person at a terminal (pts(4)) in which a command runs.
type sitting struct {
	t      *testing.T
	master *os.File
	read   chan struct{} // closed when the terminal has said all

	mu   sync.Mutex
	seen strings.Builder
}

// sit runs cmd in a terminal of its own, standard output apart.
func sit(t *testing.T, cmd *exec.Cmd) *sitting {
	t.Helper()
	return sitAt(t, cmd, false)
}

// sitWhole runs cmd with standard output in the terminal too.
func sitWhole(t *testing.T, cmd *exec.Cmd) *sitting {
	t.Helper()
	return sitAt(t, cmd, true)
}

func sitAt(t *testing.T, cmd *exec.Cmd, whole bool) *sitting {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("no terminals here: %v", err)
	}
	cmd.Stdin, cmd.Stderr = slave, slave
	if whole {
		cmd.Stdout = slave
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close() // the command has it
	s := &sitting{t: t, master: master, read: make(chan struct{})}
	go s.watch() // ends with the command
	return s
}

func (s *sitting) watch() {
	defer close(s.read)
	buf := make([]byte, 4096)
	for {
		n, err := s.master.Read(buf)
		s.mu.Lock()
		s.seen.Write(buf[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// text is what the terminal has shown.
func (s *sitting) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.String()
}

// answer waits until the terminal shows question and types text and Enter.
func (s *sitting) answer(question, text string) {
	s.t.Helper()
	s.press(question, text+"\r")
}

// press waits until the terminal shows question and presses keys.
func (s *sitting) press(question, keys string) {
	s.t.Helper()
	for deadline := time.After(2 * time.Minute); !strings.Contains(s.text(), question); {
		select {
		case <-deadline:
			s.t.Fatalf("it does not show %q, but %q", question, s.text())
		case <-s.read:
			if !strings.Contains(s.text(), question) {
				s.t.Errorf("it ended without asking %q: %s", question, s.text())
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	time.Sleep(50 * time.Millisecond) // echo is off by then, as for a person
	if _, err := s.master.WriteString(keys); err != nil {
		s.t.Error(err)
	}
}

// end waits for the command's end and returns what the terminal has shown.
func (s *sitting) end(cmd *exec.Cmd) (text string, code int) {
	s.t.Helper()
	_ = cmd.Wait() // the code tells
	<-s.read
	_ = s.master.Close()
	return s.text(), cmd.ProcessState.ExitCode()
}
