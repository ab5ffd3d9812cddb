package llamacpp

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
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

func tinybee(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tinybee.gguf")
	write(t, path, testdata.Tinybee())
	return path
}

// open starts a real llama-server with the built-in model.
func open(t *testing.T, s inference.Spec) *Engine {
	t.Helper()
	program := llamacpptest.Program(t)
	if s.ModelPath == "" {
		s.ModelPath = tinybee(t)
	}
	s.ModelID, s.Threads, s.Device = "tinybee", 1, "cpu"
	e, err := Open(t.Context(), s, Options{Path: program})
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

// front serves the engine over HTTP.
func front(t *testing.T, h http.Handler) string {
	t.Helper()
	f := httptest.NewServer(h)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		f.Close()
	})
	return f.URL
}

func post(t *testing.T, ctx context.Context, url string, body any) *http.Response {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

// ask posts body and reads the JSON answer into out.
func ask(t *testing.T, url string, body, out any) {
	t.Helper()
	answer := post(t, t.Context(), url, body)
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %s, %v", answer.Status, text, err)
	}
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

type chat map[string]any

// told asks for a chat answer with the settings added.
func told(prompt string, settings chat) chat {
	c := chat{"model": "tinybee", "messages": []map[string]string{{"role": "user", "content": prompt}}, "temperature": 0, "max_tokens": 16}
	for k, v := range settings {
		c[k] = v
	}
	return c
}

type answered struct {
	Model   string
	Choices []struct {
		Message struct {
			Content   string
			ToolCalls []struct {
				Function struct{ Name, Arguments string }
			} `json:"tool_calls"`
		}
	}
	Usage struct {
		Completion int `json:"completion_tokens"`
	}
}

func TestAnEngineSaysWhatTheProgramDoes(t *testing.T) {
	e := open(t, inference.Spec{Parallel: 2, ContextLength: 256})
	if e.Slots() != 2 || e.ContextLength() != 256 {
		t.Errorf("it has %d slots of %d tokens", e.Slots(), e.ContextLength())
	}
	var got answered
	ask(t, front(t, e)+"/v1/chat/completions", told("Once upon a time", nil), &got)
	if got.Model != "tinybee" || got.Usage.Completion != 16 || len(strings.Fields(got.Choices[0].Message.Content)) < 5 {
		t.Errorf("got %+v", got)
	}
}

func TestWhatTheProgramCanDoWorksThroughIt(t *testing.T) {
	url := front(t, open(t, inference.Spec{Parallel: 1}))
	t.Run("a JSON schema", func(t *testing.T) {
		var got answered
		ask(t, url+"/v1/chat/completions", told("bee", chat{"response_format": chat{"type": "json_schema", "json_schema": chat{
			"schema": chat{"type": "object", "properties": chat{"legs": chat{"enum": []int{6}}}, "required": []string{"legs"}},
		}}}), &got)
		var bee struct{ Legs int }
		if err := json.Unmarshal([]byte(got.Choices[0].Message.Content), &bee); err != nil || bee.Legs != 6 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("what it refuses", func(t *testing.T) {
		answer := post(t, t.Context(), url+"/v1/chat/completions", chat{"messages": "none"})
		if text, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), `"error"`) {
			t.Errorf("got %s %s, %v", answer.Status, text, err)
		}
	})
}

func TestEmbeddingsAndRanksComeFromAProgramThatIsToldToMakeThem(t *testing.T) {
	var vectors struct {
		Data []struct{ Embedding []float64 }
	}
	ask(t, front(t, open(t, inference.Spec{Parallel: 1, Flags: []string{"embeddings", "pooling=mean"}}))+"/v1/embeddings",
		chat{"input": []string{"a bee", "a tree"}}, &vectors)
	if len(vectors.Data) != 2 || len(vectors.Data[0].Embedding) != 160 {
		t.Errorf("got %d vectors", len(vectors.Data))
	}
}

func TestAStreamIsPassedOnTokenByTokenAndItsEndFreesTheSlot(t *testing.T) {
	e := open(t, inference.Spec{Parallel: 1, ContextLength: 512, Flags: []string{"ignore-eos"}})
	url := front(t, e)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	answer := post(t, ctx, url+"/v1/chat/completions", told("bee", chat{"stream": true, "max_tokens": 400}))
	line, err := bufio.NewReader(answer.Body).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, `data: {"choices":[`) {
		t.Fatalf("the first event is %q, %v", line, err)
	}
	cancel()
	// The only slot is free again.
	var got answered
	ask(t, url+"/v1/chat/completions", told("Once", chat{"max_tokens": 2}), &got)
	if got.Usage.Completion != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestAProgramKilledInTheMiddleOfAnAnswerIsAnErrorAndTheNextOneWorks(t *testing.T) {
	e := open(t, inference.Spec{Parallel: 1, ContextLength: 512, Flags: []string{"ignore-eos"}})
	url := front(t, e)
	answer := post(t, t.Context(), url+"/v1/completions", chat{"prompt": "bee", "stream": true, "max_tokens": 400})
	events := bufio.NewReader(answer.Body)
	if _, err := events.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(e.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(events)
	if err == nil && !strings.Contains(string(rest), `"message":"llama-server ended (signal 9, killed); it is started again"`) {
		t.Errorf("the rest is %s", rest)
	}
	var got answered
	ask(t, url+"/v1/chat/completions", told("Once upon a time", nil), &got)
	if got.Usage.Completion != 16 {
		t.Errorf("afterwards: %+v", got)
	}
}

func TestWhatCannotBeLoadedSaysWhyInTheProgramsWords(t *testing.T) {
	program := llamacpptest.Program(t)
	broken := filepath.Join(t.TempDir(), "broken.gguf")
	write(t, broken, testdata.Tinybee()[:1000])
	for _, c := range []struct {
		name, says string
		code       ops.Code
		spec       inference.Spec
	}{
		{"a broken file", "failed to read key-value pairs", ops.CodeUnavailable, inference.Spec{ModelPath: broken}},
		{"a device that is not there", "finds no such device: invalid device: CUDA7", ops.CodeUnavailable, inference.Spec{ModelPath: tinybee(t), Device: "cuda:7"}},
		{"no file", "no such file", ops.CodeNotFound, inference.Spec{ModelPath: "/nowhere.gguf"}},
		{"a flag that is refused", "--lora is not passed on", ops.CodeInvalid, inference.Spec{ModelPath: tinybee(t), Flags: []string{"lora=/x"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(t.Context(), c.spec, Options{Path: program})
			if ops.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v (%s), want %q (%s)", err, ops.CodeOf(err), c.says, c.code)
			}
		})
	}
}

func TestClosingLeavesNothingBehind(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	e := open(t, inference.Spec{Parallel: 1})
	pid := e.PID()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err == nil {
		t.Errorf("process %d goes on", pid)
	}
	if left, err := filepath.Glob(filepath.Join(temp, "rbee-engine-*")); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}

func TestAFolderOfTheWorkersHoldsTheSocket(t *testing.T) {
	folder := shortFolder(t)
	open(t, inference.Spec{Parallel: 1, Folder: folder})
	if _, err := os.Stat(filepath.Join(folder, "engine.sock")); err != nil {
		t.Error(err)
	}
}

func TestLoadingCanBeGivenUp(t *testing.T) {
	program := llamacpptest.Program(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, inference.Spec{ModelPath: tinybee(t)}, Options{Path: program}); ops.CodeOf(err) != ops.CodeTimeout {
		t.Errorf("got %v", err)
	}
}
