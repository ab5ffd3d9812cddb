package modes_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/inference/enginetest"
	"rbee.dev/rbee/modes/pacedtest"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// cramped is a place with the models a, b and c, whose engine makes text at a pace,
// and whose hive has memory for so many workers.
func cramped(t *testing.T, workers float64) *place {
	t.Helper()
	p := newPlace(t)
	for _, model := range []string{"a", "b", "c"} {
		dir := filepath.Join(p.home, "cache", "models", model)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, model+".gguf"), slow(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var m ops.Model
	if err := json.Unmarshal([]byte(p.rbee("model", "get", "a", "-o", "json")), &m); err != nil || m.Memory <= m.Size {
		t.Fatalf("%+v, %v", m, err)
	}
	p.rbee("queen", "stop")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p.program = self
	p.env = []string{pacedtest.Pace + "=2ms", fmt.Sprintf("%s=%d", pacedtest.RoomFor, int64(workers*float64(m.Memory)))}
	p.rbee("queen", "start")
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return p
}

// stream is a request to the queen's API that runs.
type stream struct {
	body  io.Closer
	began chan struct{} // closed at its first token
	ended chan struct{}
	said  []string // its lines, once it has ended
}

// stream asks a model for a few tokens through the queen's API.
func (p *place) stream(model, prompt string) *stream {
	p.t.Helper()
	body := fmt.Sprintf(`{"model":%q,"prompt":%q,"max_tokens":6,"stream":true}`, model, prompt)
	answer, err := http.Post("http://"+p.record("queen").Address+"/v1/completions", "application/json", strings.NewReader(body)) //nolint:noctx // the queen ends with the test
	if err != nil {
		p.t.Fatal(err)
	}
	s := &stream{body: answer.Body, began: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		lines := bufio.NewScanner(answer.Body)
		for begun := false; lines.Scan(); {
			if strings.Contains(lines.Text(), `"text"`) && !begun {
				begun = true
				close(s.began)
			}
			s.said = append(s.said, lines.Text())
		}
	}()
	p.t.Cleanup(func() {
		_ = answer.Body.Close() // again, after what the test did
		<-s.ended
	})
	return s
}

// whole waits for the stream's end and returns what was said that contains text.
func (s *stream) whole(t *testing.T, text string) string {
	t.Helper()
	<-s.ended
	said := strings.Join(s.said, "\n")
	if !strings.Contains(said, "data: [DONE]") || strings.Contains(said, `"error"`) || !strings.Contains(said, text) {
		t.Errorf("it ends without [DONE], with an error, or does not say %q:\n%.2000s", text, said)
	}
	return said
}

// loaded lists the models that have a worker, sorted.
func (p *place) loaded() string {
	p.t.Helper()
	var list []string
	for _, w := range p.workers() {
		if w.State != ops.WorkerFailed {
			list = append(list, w.Model)
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// infer is a job in the background.
func (p *place) infer(model string) (cmd *exec.Cmd, stderr *bytes.Buffer) {
	p.t.Helper()
	cmd, stderr = p.command("infer", "--model", model, "--max-tokens", "3", "x"), new(bytes.Buffer)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	return cmd, stderr
}

// awaits waits until so many requests wait for the model.
func awaits(t *testing.T, queen *transport.Client, model string, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		r, err := transport.Call(t.Context(), queen, ops.Status{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Waiting[model] == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v wait, and %d should for %s", r.Waiting, n, model)
		}
	}
}

// TestModelsShareTheMemoryOfOneHive: there is room for two of three. Through the
// API and by jobs, the one that was used last stays; a busy one is never unloaded,
// and who needs its room waits; a pinned one stays.
func TestModelsShareTheMemoryOfOneHive(t *testing.T) {
	p := cramped(t, 2.5)
	is := func(when, want string) {
		t.Helper()
		if got := p.loaded(); got != want {
			t.Fatalf("%s %q are loaded, and %q should be", when, got, want)
		}
	}
	p.stream("a", "x").whole(t, "data:")
	p.rbee("infer", "--model", "b", "--max-tokens", "3", "x")
	is("after a and b", "a b")
	p.stream("c", "x").whole(t, ": hive: unloading a, which has nothing to do, to make room for ")
	is("after c", "b c")

	busy := p.stream("b", enginetest.WordHang) // used before c was
	<-busy.began
	p.rbee("infer", "--model", "c", "--max-tokens", "3", "x")
	p.rbee("infer", "--model", "a", "--max-tokens", "3", "x")
	is("while b is busy", "a b")

	also := p.stream("a", enginetest.WordHang)
	<-also.began
	queen := p.queen()
	waits := p.stream("c", "x")
	awaits(t, queen, "c", 1)
	job, story := p.infer("c")
	awaits(t, queen, "c", 2)
	is("while both are busy", "a b")
	_ = busy.body.Close()
	waits.whole(t, ": hive: unloading b, which has nothing to do, to make room for ")
	if err := job.Wait(); err != nil {
		t.Errorf("the job that waited: %v: %s", err, story)
	}
	is("after b's client has gone", "a c")
	select {
	case <-also.ended:
		t.Error("the busy worker's answer ended")
	default:
	}
	_ = also.body.Close()

	p.rbee("model", "pin", "a")
	p.stream("b", "x").whole(t, ": hive: unloading c, which has nothing to do, to make room for ")
	is("with a pinned, which was used before c", "a b")
	p.rbee("model", "pin", "b")
	refused := p.command("infer", "--model", "c", "x")
	out, err := refused.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "pinned models hold its memory: a, b") || !strings.Contains(string(out), "rbee model unpin") {
		t.Fatalf("with both pinned: %v: %s", err, out)
	}
	var jobs ops.Jobs // newest first
	if err := json.Unmarshal([]byte(p.rbee("job", "list", "-o", "json")), &jobs); err != nil {
		t.Fatal(err)
	}
	last := jobs.Jobs[slices.IndexFunc(jobs.Jobs, func(j ops.Job) bool { return j.Operation == "infer" })]
	if x := p.rbee("explain", last.ID); !strings.Contains(x, "it was refused\n") || !strings.Contains(x, "localhost  no      pinned models hold its memory") {
		t.Errorf("it is explained by %s", x)
	}

	p.rbee("model", "unpin", "b")
	guest := p.command("infer", "--model", "c", "--max-tokens", "3", "x", "--token", p.newSecret("--scope", "jobs", "--model", "c"))
	if out, err := guest.CombinedOutput(); err != nil || !strings.Contains(string(out), "unloading another model, which has nothing to do, to make room for c\n") {
		t.Errorf("a key for c alone: %v: %s", err, out)
	}
}
