package command

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

// llama is a command line of a real server, to which the rest is added.
func llama(t *testing.T, rest string) inference.Spec {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny bee.gguf")
	if err := os.WriteFile(path, testdata.Tinybee(), 0o600); err != nil {
		t.Fatal(err)
	}
	return inference.Spec{
		ModelID: "tinybee", ModelPath: path, Device: "cpu", Parallel: 2, ContextLength: 256, Threads: 1,
		Command: llamacpptest.Program(t) + " --model {model} --alias {name} -np {parallel} -c 512 -t {threads} --no-warmup " + rest,
	}
}

func open(t *testing.T, s inference.Spec) *Engine {
	t.Helper()
	e, err := Open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// ask has a few tokens made.
func ask(t *testing.T, e *Engine) {
	t.Helper()
	w := httptest.NewRecorder()
	body := strings.NewReader(`{"model":"tinybee","prompt":"Once upon a","max_tokens":4}`)
	e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/completions", body))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"completion_tokens":4`) || !strings.Contains(w.Body.String(), `"model":"tinybee"`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestAServerIsReachedOnASocketOrAPort(t *testing.T) {
	for name, where := range map[string]string{
		"a socket":         "--host {socket}",
		"a port":           "--host 127.0.0.1 --port {port}",
		"a port and a key": "--host 127.0.0.1 --port {port} --api-key {api_key}",
	} {
		t.Run(name, func(t *testing.T) {
			e := open(t, llama(t, where))
			if e.Slots() != 2 || e.ContextLength() != 256 {
				t.Errorf("it has %d slots of %d tokens", e.Slots(), e.ContextLength())
			}
			ask(t, e)
			if err := syscall.Kill(e.PID(), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			for dead := true; dead; { // until that is noticed
				w := httptest.NewRecorder()
				e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/models", nil))
				dead = w.Code != http.StatusOK
			}
			ask(t, e)
		})
	}
}

// fake is a command line of this binary as a server.
func fake(t *testing.T, kind string) string {
	t.Helper()
	t.Setenv(asServer, kind)
	return os.Args[0] + " {port}"
}

func TestTheLengthThatAServerTellsCounts(t *testing.T) {
	e := open(t, inference.Spec{Command: fake(t, "telling")})
	if e.Slots() != inference.DefaultParallel || e.ContextLength() != 1234 {
		t.Errorf("it has %d slots of %d tokens", e.Slots(), e.ContextLength())
	}
}

func TestTheLengthThatNobodyTellsIsNotKnown(t *testing.T) {
	line := fake(t, "silent")
	for command, want := range map[string]int{line: 0, line + " {context_length}": inference.DefaultContextLength} {
		if e := open(t, inference.Spec{Command: command}); e.ContextLength() != want {
			t.Errorf("of %s it is %d", command, e.ContextLength())
		}
	}
}

func TestAServerThatIsNeverReadyIsGivenUpWithWhatItSaid(t *testing.T) {
	_, err := Open(t.Context(), inference.Spec{Command: fake(t, "loading"), Stall: 2 * time.Second})
	for _, want := range []string{" was given up: not ready after ", "answers /health with 503 Service Unavailable; its last lines: reading shard 1 of 3"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if hint := ops.AsError(err).Hint; ops.CodeOf(err) != ops.CodeUnavailable || !strings.Contains(hint, "listen on {port}") {
		t.Errorf("its code is %s, the hint %q", ops.CodeOf(err), hint)
	}
}

func TestWhatCannotBeStartedSaysWhy(t *testing.T) {
	for _, c := range []struct {
		name, says string
		code       ops.Code
		hint       string
		spec       inference.Spec
	}{
		{"no command", "needs a command line", ops.CodeInvalid, "", inference.Spec{}},
		{"no such program", `no program "warp-serve"`, ops.CodeNotFound, "give its whole path", inference.Spec{Command: "warp-serve {socket}"}},
		{"flags", "settings are in its command line", ops.CodeInvalid, "", inference.Spec{Command: "sh {socket}", Flags: []string{"x"}}},
		{
			"one that ends", "sh ended (exit status 3); its last lines: no GPU, no fun: fatal", ops.CodeUnavailable, "run the command line by hand",
			inference.Spec{Command: `sh -c 'echo no GPU, no fun: fatal; exit 3' {socket}`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(t.Context(), c.spec)
			if ops.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v (%s), want %q (%s)", err, ops.CodeOf(err), c.says, c.code)
			}
			if !strings.Contains(ops.AsError(err).Hint, c.hint) {
				t.Errorf("the hint is %q, want %q", ops.AsError(err).Hint, c.hint)
			}
		})
	}
}

// TestAPortThatIsTakenIsAnErrorInTheProgramsWords: somebody was faster.
func TestAPortThatIsTakenIsAnErrorInTheProgramsWords(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, taken, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), llama(t, "--host 127.0.0.1 --port {port} --port "+taken))
	if ops.CodeOf(err) != ops.CodeUnavailable || !strings.Contains(err.Error(), "llama-server ended (exit status 1); its last lines: ") || !strings.Contains(err.Error(), "couldn't bind") || !strings.Contains(err.Error(), taken) {
		t.Errorf("got %v (%s)", err, ops.CodeOf(err))
	}
	if hint := ops.AsError(err).Hint; !strings.Contains(hint, "another program listens there") {
		t.Errorf("the hint is %q", hint)
	}
}
