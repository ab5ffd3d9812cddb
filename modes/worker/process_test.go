package worker_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
	"rbee.dev/rbee/transport"
)

// process is a worker that is a process of its own.
type process struct {
	*transport.Client
	folder string
	cmd    *exec.Cmd
	said   *bytes.Buffer // on standard error; to be read once it has ended
}

// spawn starts the test binary as a worker of the model at path.
func spawn(t *testing.T, kind, path string, flags ...string) process {
	t.Helper()
	root := t.TempDir()
	h := home.Home{State: filepath.Join(root, "state"), Cache: filepath.Join(root, "cache")}
	if err := h.Create(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], append([]string{"worker", "serve", "--id", "w1", "--model", "tinybee", "--path", path}, flags...)...) //nolint:noctx // ended below
	cmd.Env = append(os.Environ(), "RBEE_HOME="+root, asWorker+"="+kind)
	said := new(bytes.Buffer)
	cmd.Stderr = io.MultiWriter(os.Stderr, said)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	folder := h.Worker("w1")
	options := transport.Unix(filepath.Join(folder, home.WorkerSocket))
	p := process{Client: transport.New(options), folder: folder, cmd: cmd, said: said}
	t.Cleanup(func() {
		p.Close()
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill() // it may have ended
			_ = cmd.Wait()
		}
	})
	return p
}

// up waits until the worker answers.
func (p process) up(t *testing.T) process {
	t.Helper()
	for began := time.Now(); ; {
		if _, err := p.Health(t.Context()); err == nil {
			return p
		} else if !errors.Is(err, transport.ErrUnreachable) || time.Since(began) > time.Minute {
			t.Fatal(err)
		}
	}
}

func tinybee(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tinybee.gguf")
	if err := os.WriteFile(path, testdata.Tinybee(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheBuiltInModelTellsTheSameStoryForTheSameSeed(t *testing.T) {
	w := spawn(t, "builtin", tinybee(t)).up(t)
	seed := int64(1)
	o := ops.Infer{Prompt: "Once upon a time", Seed: &seed, MaxTokens: 24}
	text, answer, err := infer(t, w.Client, o)
	if err != nil || text != answer.Text || len(strings.Fields(text)) < 8 || answer.CompletionTokens != 24 {
		t.Fatalf("got %q, %+v, %v", text, answer, err)
	}
	if again, _, err := infer(t, w.Client, o); err != nil || again != text {
		t.Errorf("the second time: %q, %v", again, err)
	}
}

func TestSIGTERMCancelsJobsAndExitsWithZero(t *testing.T) {
	w := spawn(t, "paced", tinybee(t)).up(t)
	_, err := w.Do(t.Context(), ops.Infer{Prompt: "x"}, "", func(r transport.Received) error {
		if _, ok := r.Event.(ops.TokenEvent); ok {
			return w.cmd.Process.Signal(syscall.SIGTERM)
		}
		return nil
	})
	if ops.CodeOf(err) != ops.CodeCancelled {
		t.Errorf("the job ends with %v", err)
	}
	if err := w.cmd.Wait(); err != nil {
		t.Errorf("the worker ends with %v", err)
	}
	left, err := filepath.Glob(filepath.Join(w.folder, "worker.[ps]*"))
	if err != nil || len(left) > 1 { // the lock file stays
		t.Errorf("it leaves %v, %v", left, err)
	}
}

func TestAModelThatCannotBeLoadedIsAnExitStatusAndALogLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broken.gguf")
	if err := os.WriteFile(path, testdata.Tinybee()[:1000], 0o600); err != nil {
		t.Fatal(err)
	}
	const reason = "load tinybee: open the model: "
	for detached, want := range map[string]string{
		"1": `"error":"` + reason, // of a daemon nobody sees what it returns
		"":  "rbee: " + reason,    // by hand it is told once
	} {
		t.Setenv(daemon.DetachedEnv, detached)
		w := spawn(t, "builtin", path)
		if err := w.cmd.Wait(); err == nil {
			t.Error("it exits with 0")
		}
		if said := w.said.String(); !strings.Contains(said, want) || detached == "" && strings.Count(said, reason) != 1 {
			t.Errorf("detached %q, it says %s", detached, said)
		}
	}
}

func TestAWorkerThatDiesMidAnswerIsHeardToBreakOff(t *testing.T) {
	w := spawn(t, "paced", tinybee(t)).up(t)
	w.Patience = 1 // there is no one to come back
	killed := false
	_, err := w.Do(t.Context(), ops.Infer{Prompt: "x"}, "", func(transport.Received) error {
		if !killed {
			killed = true
			return w.cmd.Process.Kill()
		}
		return nil
	})
	if ops.CodeOf(err) != ops.CodeUnavailable {
		t.Errorf("the job ends with %v", err)
	}
}

func TestAWorkerWhoseFolderIsClearedAwayEnds(t *testing.T) {
	w := spawn(t, "paced", tinybee(t)).up(t)
	if err := os.RemoveAll(w.folder); err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
}

func TestTwoWorkersCannotHaveOneFolder(t *testing.T) {
	w := spawn(t, "paced", tinybee(t)).up(t)
	second := exec.Command(os.Args[0], w.cmd.Args[1:]...) //nolint:noctx // ends by itself
	second.Env = w.cmd.Env
	out, err := second.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "worker w1 is already running, pid") {
		t.Errorf("the second one says %s, %v", out, err)
	}
	if r, alive, err := daemon.Running(filepath.Join(w.folder, home.WorkerPID)); err != nil || !alive || r.PID != w.cmd.Process.Pid {
		t.Errorf("the first one's pid file is %+v, %v, %v", r, alive, err)
	}
}
