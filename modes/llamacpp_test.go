package modes_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
	"rbee.dev/rbee/testdata"
)

// TestLlamaCppFromEndToEnd is what a person types who has llama-server.
func TestLlamaCppFromEndToEnd(t *testing.T) {
	env := append(os.Environ(), "RBEE_HOME="+filepath.Join(t.TempDir(), "home"), "RBEE_LISTEN=127.0.0.1:0",
		llamacpp.PathEnv+"="+llamacpptest.Program(t))
	rbee := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), binary, args...)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	t.Cleanup(func() {
		stop := exec.Command(binary, "queen", "stop") //nolint:noctx // the test's context has ended
		stop.Env = env
		if out, err := stop.CombinedOutput(); err != nil {
			t.Errorf("queen stop: %v: %s", err, out)
		}
	})
	for _, c := range []struct {
		words string
		ok    bool
		says  string
	}{
		{"infer Once --max-tokens 4 --device cpu", true, "loads tinybee on llamacpp, cpu"}, // by itself
		{"worker spawn tinybee --worker llamacpp --device cpu --flag no-warmup --flag=--flash-attn=off", true, "llamacpp"},
		{"worker spawn tinybee --worker llamacpp --flag lora=/etc/passwd", false, "--lora is not passed on to llama-server: it opens a file"},
		{"worker spawn tinybee --engine command", false, "command: must be given for the engine called command"},
		{"worker list", true, "llamacpp"},
	} {
		out, err := rbee(strings.Fields(c.words)...)
		if (err == nil) != c.ok || !strings.Contains(out, c.says) {
			t.Errorf("rbee %s: %v, says %s", c.words, err, out)
		}
	}
}

// TestTheGatewayAnswersAsLlamaCppItselfDoes: what comes through queen and worker is
// what the engine's own socket gives.
func TestTheGatewayAnswersAsLlamaCppItselfDoes(t *testing.T) {
	home, err := os.MkdirTemp("/tmp", "rbee-test-") //nolint:usetesting // sockets' paths must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	env := append(os.Environ(), "RBEE_HOME="+home, "RBEE_LISTEN=127.0.0.1:0", llamacpp.PathEnv+"="+llamacpptest.Program(t))
	rbee := func(args ...string) []byte {
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary, args...)
		cmd.Env = env
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("rbee %q: %v", args, err)
		}
		return out
	}
	t.Cleanup(func() { rbee("queen", "stop") })
	folder := filepath.Join(home, "cache/models/bee")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"bee.gguf": testdata.Tinybee(), "mmproj-bee.gguf": gguftest.Projector{Output: 160}.Bytes()} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var worker struct{ ID string }
	var queen struct{ URL string }
	for _, err := range []error{
		json.Unmarshal(rbee("worker", "spawn", "bee", "--device", "cpu", "--parallel", "1", "-o", "json"), &worker),
		json.Unmarshal(rbee("queen", "status", "-o", "json"), &queen),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(home, "state/workers", worker.ID, "engine.sock")
	direct := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	defer http.DefaultClient.CloseIdleConnections()
	pixel := "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=="
	for name, c := range map[string]struct{ path, body string }{
		"a response":             {"/v1/responses", `{"model":"bee","input":"Once","max_output_tokens":8,"temperature":0}`},
		"a stream of a response": {"/v1/responses", `{"model":"bee","input":"Once","max_output_tokens":8,"temperature":0,"stream":true}`},
		"a given form":           {"/v1/chat/completions", `{"model":"bee","messages":[{"role":"user","content":"Once"}],"max_tokens":16,"temperature":0,"cache_prompt":false,"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object","properties":{"legs":{"type":"integer"}},"required":["legs"]}}}}`},
		"an image":               {"/v1/chat/completions", `{"model":"bee","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,` + pixel + `"}},{"type":"text","text":"Once"}]}],"max_tokens":8,"temperature":0,"cache_prompt":false}`},
	} {
		t.Run(name, func(t *testing.T) {
			_ = answered(t, direct, "http://engine"+c.path, c.body) // fills the prompt cache, which answers tell of
			want, got := answered(t, direct, "http://engine"+c.path, c.body), answered(t, http.DefaultClient, queen.URL+c.path, c.body)
			if got != want || !strings.HasPrefix(got, "200 OK") {
				t.Errorf("got %s\nwant %s", got, want)
			}
		})
	}
}

// answered is an answer with its status, without what differs from one to the next.
func answered(t *testing.T, c *http.Client, url, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status + " " + varying.ReplaceAllString(string(text), `"$1"`)
}

var varying = regexp.MustCompile(`"(id|item_id|created|created_at|completed_at)":("[^"]*"|\d+)|"timings":\{[^}]*\}`)
