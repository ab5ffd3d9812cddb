package builtin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/builtin"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/inference/openai"
	"rbee.dev/rbee/testdata"
)

// llamaServer is a llama-server over one model file, in a root of its own (see
// testdata/llamacpp/root.sh).
type llamaServer struct{ url string }

func startLlamaServer(t *testing.T, model []byte, args ...string) llamaServer {
	t.Helper()
	root := os.Getenv("RBEE_LLAMACPP_ROOT")
	if root == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("CI needs RBEE_LLAMACPP_ROOT: see testdata/llamacpp/root.sh")
		}
		t.Skip("no llama.cpp to compare with: set RBEE_LLAMACPP_ROOT, see testdata/llamacpp/root.sh")
	}
	dir, err := os.MkdirTemp(filepath.Join(root, "tmp"), "rbee-test-") //nolint:usetesting // the server sees its own root only
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "m.gguf"), model, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "chroot", append([]string{
		root, "llama-server", "-m", "/tmp/" + filepath.Base(dir) + "/m.gguf",
		"--port", fmt.Sprint(port), "-t", "1", "-np", "1", "-ngl", "0", "--no-warmup",
	}, args...)...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		http.DefaultClient.CloseIdleConnections()
	})
	s := llamaServer{fmt.Sprintf("http://127.0.0.1:%d", port)}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if answer, err := http.Get(s.url + "/health"); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return s
			}
		}
		if time.Now().After(deadline) {
			cancel()
			_ = cmd.Wait()
			t.Fatalf("llama-server does not come up:\n%s", log.String())
		}
	}
}

func (s llamaServer) post(t *testing.T, path string, in, out any) {
	t.Helper()
	body, _ := json.Marshal(in)
	answer, err := http.Post(s.url+path, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s", path, answer.Status, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatal(err)
	}
}

// greedy is the likeliest text for a prompt.
func (s llamaServer) greedy(t *testing.T, prompt string, tokens int) string {
	t.Helper()
	var out struct{ Content string }
	s.post(t, "/completion", map[string]any{
		"prompt": prompt, "n_predict": tokens, "temperature": 0, "top_k": 1, "cache_prompt": false, "ignore_eos": false,
		"samplers": []string{"top_k"},
	}, &out)
	return out.Content
}

func vocabulary(t *testing.T) *gguf.File {
	t.Helper()
	f, err := gguf.Parse(testdata.Tinybee())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func openBytes(t *testing.T, model []byte) *builtin.Engine {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, model, 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, inference.Spec{ModelPath: path, Threads: 1})
}

func TestGreedyTextIsLlamaCpps(t *testing.T) {
	const prompt = "The bee said: it's 12345 times \"better\" in the old garden, isn't it?\n\nOnce"
	for _, c := range []struct {
		name  string
		model gguftest.Model
		want  int // tokens that must agree at least
	}{
		{"llama F32", gguftest.Model{Type: gguf.F32, Seed: 1}, 64},
		{"llama F32 with SentencePiece", gguftest.Model{Type: gguf.F32, Seed: 2, Vocabulary: vocabulary(t)}, 64},
		{"qwen2 F32", gguftest.Model{Architecture: "qwen2", Type: gguf.F32, Seed: 3, Pre: "qwen2"}, 64},
		{"qwen3 F32", gguftest.Model{Architecture: "qwen3", Type: gguf.F32, Seed: 4, Pre: "qwen2"}, 64},
		{"llama-bpe", gguftest.Model{Type: gguf.F32, Seed: 5, Pre: "llama-bpe"}, 64},
		{"smollm", gguftest.Model{Type: gguf.F32, Seed: 6, Pre: "smollm"}, 64},
		{"default", gguftest.Model{Type: gguf.F32, Seed: 7, Pre: "default"}, 64},
		{"F16", gguftest.Model{Type: gguf.F16, Seed: 8}, 24},
		{"BF16", gguftest.Model{Type: gguf.BF16, Seed: 9}, 24},
		{"Q8_0", gguftest.Model{Type: gguf.Q8_0, Seed: 10}, 24},
		{"Q4_0", gguftest.Model{Type: gguf.Q4_0, Seed: 11}, 24},
		// llama.cpp repacks Q4_K and adds up in another order; of five random
		// models, two come to a choice so close that this decides it.
		{"Q4_K", gguftest.Model{Type: gguf.Q4_K, Seed: 22}, 24},
		{"Q4_K", gguftest.Model{Type: gguf.Q4_K, Seed: 24}, 24},
		{"Q4_K", gguftest.Model{Type: gguf.Q4_K, Seed: 25}, 24},
		{"Q5_K", gguftest.Model{Type: gguf.Q5_K, Seed: 13}, 24},
		{"Q6_K", gguftest.Model{Type: gguf.Q6_K, Seed: 14}, 24},
	} {
		t.Run(c.name, func(t *testing.T) {
			model := c.model.Bytes()
			server := startLlamaServer(t, model, "-c", "512", "--cache-type-k", "f32", "--cache-type-v", "f32", "-fa", "off")
			want := server.greedy(t, prompt, c.want)
			var got bytes.Buffer
			if _, err := openBytes(t, model).Generate(t.Context(), openai.Request{Prompt: prompt, MaxTokens: c.want},
				func(text string) error { got.WriteString(text); return nil }); err != nil {
				t.Fatal(err)
			}
			// Random models say bytes that are no characters, which the two
			// replace in different numbers.
			if ours, theirs := oneReplacement(got.String()), oneReplacement(want); ours != theirs {
				t.Errorf("ours:      %q\nllama.cpp: %q", ours, theirs)
			}
		})
	}
}

// oneReplacement makes one U+FFFD of each run of them.
func oneReplacement(s string) string { return replacements.ReplaceAllString(s, "\uFFFD") }

var replacements = regexp.MustCompile("\uFFFD+")

func TestTokensAreLlamaCpps(t *testing.T) {
	texts := []string{
		"Once upon a time", "it's we'll I'D 'tis", "1234567 12 3", "  two  spaces\n\n\n and   lines\r\n\t tab ", "naïve café — “quotes” …",
		"日本語のテキスト 한국어 🐝🐝", "x=y+1; if (a<b) { return !c; } // $5 ^_^ `~|", "<|endoftext|> </s>", "a\u00a0b\u2003c", "٣٤ ½ Ⅷ",
	}
	for _, c := range []struct {
		name  string
		model gguftest.Model
	}{
		{"SentencePiece", gguftest.Model{Vocabulary: vocabulary(t)}},
		{"default", gguftest.Model{Pre: "default"}},
		{"gpt-2", gguftest.Model{Pre: "gpt-2"}},
		{"llama-bpe", gguftest.Model{Pre: "llama-bpe"}},
		{"smollm", gguftest.Model{Pre: "smollm"}},
		{"qwen2", gguftest.Model{Pre: "qwen2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			model := c.model.Bytes()
			server := startLlamaServer(t, model, "-c", "512")
			compareTokens(t, server, model, texts)
		})
	}
}
