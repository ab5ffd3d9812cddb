package builtin_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/builtin"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/inference/openai"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, spec inference.Spec) *builtin.Engine {
	t.Helper()
	if spec.ModelPath == "" {
		spec.ModelPath = filepath.Join(t.TempDir(), "tinybee.gguf")
		if err := os.WriteFile(spec.ModelPath, testdata.Tinybee(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spec.ModelID = "tinybee"
	e, err := builtin.Open(t.Context(), spec)
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

func generate(t testing.TB, e *builtin.Engine, r openai.Request) (string, openai.Outcome) {
	t.Helper()
	var b strings.Builder
	o, err := e.Generate(t.Context(), r, func(text string) error { b.WriteString(text); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), o
}

func TestTinybeeTellsAStory(t *testing.T) {
	text, o := generate(t, open(t, inference.Spec{}), openai.Request{Prompt: "Once upon a time", MaxTokens: 300})
	if !strings.Contains(text, "bee") || !strings.HasSuffix(strings.TrimSpace(text), ".") {
		t.Errorf("not a story: %q", text)
	}
	if o.Finish != openai.FinishStop || o.PromptTokens < 3 || o.CompletionTokens < 20 {
		t.Errorf("outcome %+v", o)
	}
}

func TestTheTextDoesNotDependOnWhoSharesTheBatch(t *testing.T) {
	requests := []openai.Request{
		{Prompt: "Once upon a time", MaxTokens: 60, Temperature: 0.9, TopK: 40, TopP: 0.95, Seed: 1},
		{Prompt: "There was once a brave bee " + strings.Repeat("who flew and flew ", 40), MaxTokens: 50},
		{Prompt: "One morning", MaxTokens: 70, Temperature: 1, Seed: 3},
		{Messages: []openai.Message{{Role: "user", Content: "Tell me a story."}}, MaxTokens: 40, Temperature: 0.5, Seed: 4},
		{Prompt: "Long ago", MaxTokens: 30},
	}
	alone := make([]string, len(requests))
	for i, r := range requests {
		alone[i], _ = generate(t, open(t, inference.Spec{Threads: 1, Parallel: 1}), r)
	}
	e := open(t, inference.Spec{Threads: 2, Parallel: 3})
	for round := range 2 { // the second finds prompts cached
		got := make([]string, len(requests))
		var all sync.WaitGroup
		for i, r := range requests {
			all.Go(func() { got[i], _ = generate(t, e, r) })
		}
		all.Wait()
		for i := range got {
			if got[i] != alone[i] {
				t.Errorf("round %d, request %d: in company %q, alone %q", round, i, got[i], alone[i])
			}
		}
	}
}

func TestCancellingStopsAtOnceAndFreesTheSlot(t *testing.T) {
	e := open(t, inference.Spec{Parallel: 1})
	ctx, cancel := context.WithCancel(t.Context())
	tokens := 0
	_, err := e.Generate(ctx, openai.Request{Prompt: "Once", Temperature: 1}, func(string) error {
		if tokens++; tokens == 3 {
			cancel()
		}
		return nil
	})
	if err == nil && tokens > 400 {
		t.Error("it went on to the end")
	}
	if text, _ := generate(t, e, openai.Request{Prompt: "Once upon a time", MaxTokens: 5}); text == "" {
		t.Error("the slot is not free")
	}
}

func TestALongerContextIsAdvisedOnlyWhereThereIsOne(t *testing.T) {
	for length, want := range map[int]string{32: "a longer --context-length, up to 512", 512: "no longer context"} {
		e := open(t, inference.Spec{ContextLength: length})
		_, err := e.Generate(t.Context(), openai.Request{Prompt: strings.Repeat("bee ", 600)}, func(string) error { return nil })
		if hint := ops.AsError(err).Hint; !strings.Contains(hint, want) {
			t.Errorf("with a context of %d the hint is %q", length, hint)
		}
	}
}

func TestAPromptThatDoesNotFitIsRefusedWithBothNumbers(t *testing.T) {
	e := open(t, inference.Spec{ContextLength: 32})
	_, err := e.Generate(t.Context(), openai.Request{Prompt: strings.Repeat("bee ", 50)}, func(string) error { return nil })
	if ops.CodeOf(err) != ops.CodeInvalid || !strings.Contains(err.Error(), "32") {
		t.Errorf("got %v", err)
	}
	_, o := generate(t, e, openai.Request{Prompt: "Once upon a time"})
	if o.Finish != openai.FinishLength || o.PromptTokens+o.CompletionTokens != 32 {
		t.Errorf("an answer cut by the context: %+v", o)
	}
}

func TestScoresThatAreNoNumbersAreToldWithWhatToDo(t *testing.T) {
	data := slices.Clone(testdata.Tinybee())
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	norm, _ := f.Tensor("output_norm.weight")
	for i, weights := 0, f.Data(norm); i < len(weights); i++ {
		weights[i] = 0xff
	}
	path := filepath.Join(t.TempDir(), "broken.gguf")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	e := open(t, inference.Spec{ModelPath: path})
	_, err = e.Generate(t.Context(), openai.Request{Prompt: "Once"}, func(string) error { return nil })
	if failed := ops.AsError(err); err == nil || !strings.Contains(failed.Message, "not numbers") || !strings.Contains(failed.Hint, "download it anew") {
		t.Errorf("got %#v", failed)
	}
}

func TestWhatCannotRunIsRefusedBeforeLoading(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := testdata.Tinybee()
	for _, tt := range []struct {
		name string
		spec inference.Spec
		want string
	}{
		{"no file", inference.Spec{ModelPath: filepath.Join(dir, "none")}, "no such file"},
		{"no GGUF", inference.Spec{ModelPath: write("text", []byte("<html>"))}, "GGUF"},
		{"cut off", inference.Spec{ModelPath: write("cut", good[:len(good)/2])}, "reaches beyond"},
		{"architecture", inference.Spec{ModelPath: write("arch", []byte(strings.Replace(string(good), "\x05\x00\x00\x00\x00\x00\x00\x00llama", "\x05\x00\x00\x00\x00\x00\x00\x00bloom", 1)))}, `"bloom"`},
		{"device", inference.Spec{ModelPath: write("good", good), Device: "cuda:0"}, "cuda:0"},
		{"context", inference.Spec{ModelPath: write("good2", good), ContextLength: 100000}, "made for 512"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := builtin.Open(t.Context(), tt.spec)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestWhatIsRefusedAtLoadingIsToldOfTheFileBefore(t *testing.T) {
	for name, values := range map[string]map[string]any{
		"architecture":  {"general.architecture": "mamba"},
		"none":          {"general.architecture": nil},
		"key length":    {"llama.attention.key_length": uint32(0)},
		"layers":        {"llama.block_count": uint32(9)},
		"tokenizer":     {"tokenizer.ggml.model": "blast"},
		"pre-tokenizer": {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "tekken"},
		"merges":        {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.merges": []string{"ab"}},
		"no tokens":     {"tokenizer.ggml.tokens": nil},
		"fewer tokens":  {"tokenizer.ggml.tokens": []string{"a"}, "tokenizer.ggml.token_type": nil, "tokenizer.ggml.scores": []float32{0}, "tokenizer.ggml.bos_token_id": nil, "tokenizer.ggml.eos_token_id": nil},
		"begin":         {"tokenizer.ggml.bos_token_id": uint32(1 << 20)},
		"end":           {"tokenizer.ggml.eos_token_id": uint32(1 << 20)},
		"template":      {"tokenizer.chat_template": "{% for m in messages %}"},
	} {
		data := gguftest.Changed(testdata.Tinybee(), values)
		path := filepath.Join(t.TempDir(), "bee.gguf")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := gguf.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		before := builtin.Refusal(f)
		if _, err := builtin.Open(t.Context(), inference.Spec{ModelPath: path}); err == nil || before == nil || err.Error() != before.Error() {
			t.Errorf("%s: %v is told before, and loading it says %v", name, before, err)
		}
	}
	f, err := gguf.Parse(testdata.Tinybee())
	if err != nil {
		t.Fatal(err)
	}
	if err := builtin.Refusal(f); err != nil {
		t.Errorf("tinybee is refused: %v", err)
	}
}

func TestHTTP(t *testing.T) {
	server := httptest.NewServer(open(t, inference.Spec{}))
	defer server.Close()
	post := func(path, body string) (int, string) {
		answer, err := http.Post(server.URL+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var b strings.Builder
		if _, err := jsonOrText(answer, &b); err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, b.String()
	}
	status, whole := post("/v1/completions", `{"prompt":"Once upon a time","max_tokens":12,"temperature":0}`)
	var a struct {
		Choices []struct{ Text, FinishReason string } `json:"choices"`
		Usage   struct {
			Completion int `json:"completion_tokens"`
		}
	}
	if err := json.Unmarshal([]byte(whole), &a); err != nil || status != 200 || a.Usage.Completion != 12 {
		t.Fatalf("%d %s %v", status, whole, err)
	}
	_, stream := post("/v1/completions", `{"prompt":"Once upon a time","max_tokens":12,"temperature":0,"stream":true}`)
	if !strings.HasSuffix(stream, "data: [DONE]\n\n") || strings.Count(stream, "data: ") < 10 {
		t.Errorf("stream: %s", stream)
	}
	_, chat := post("/v1/chat/completions", `{"messages":[{"role":"user","content":[{"type":"text","text":"Tell me a story."}]}],"max_tokens":5}`)
	if !strings.Contains(chat, `"role":"assistant"`) {
		t.Errorf("chat: %s", chat)
	}
	for body, field := range map[string]string{
		`{"prompt":"x","temperature":"hot"}`: "temperature", `{"prompt":"x","top_p":7}`: "top_p", `{}`: "prompt",
		`{"prompt":"x","n":2}`: `"n"`, `{`: "JSON", `{"prompt":"x","stop":5}`: "stop",
	} {
		if status, text := post("/v1/completions", body); status != 400 || !strings.Contains(text, field) {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
}

func jsonOrText(answer *http.Response, b *strings.Builder) (int64, error) {
	buf := make([]byte, 32<<10)
	for {
		n, err := answer.Body.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return int64(b.Len()), nil //nolint:nilerr // the end of the body
		}
	}
}
