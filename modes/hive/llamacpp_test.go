package hive_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
	"rbee.dev/rbee/transport"
)

func TestAWorkerOfLlamaCppIsSpawnedAndUsed(t *testing.T) {
	t.Setenv(realEngine, "1")
	t.Setenv(llamacpp.PathEnv, llamacpptest.Program(t))
	h := start(t)
	w := do(t, h.Client, ops.WorkerSpawn{Engine: "llamacpp", Device: "cpu", Parallel: 2, Context: 256, Flags: []string{"--no-warmup"}})
	if w.Engine != "llamacpp" || w.Device != "cpu" || w.Slots != 2 || w.Context != 256 || w.State != ops.WorkerReady || !slices.Equal(w.Flags, []string{"--no-warmup"}) {
		t.Errorf("the worker is %+v", w)
	}
	answer := do(t, h.Client, ops.Infer{Prompt: "Once upon a time", MaxTokens: 8})
	if answer.WorkerID != w.ID || answer.CompletionTokens != 8 {
		t.Errorf("without an engine or device the answer is %+v", answer)
	}
	if another := do(t, h.Client, ops.Infer{Prompt: "Once", MaxTokens: 2, Engine: "builtin"}); another.WorkerID == w.ID {
		t.Error("an answer of the builtin engine comes from llama.cpp")
	}
	said := ""
	_, err := h.Client.Do(t.Context(), ops.WorkerSpawn{Engine: "llamacpp", Device: "cpu", Parallel: 1, Context: 1}, "", func(r transport.Received) error {
		if n, ok := r.Event.(ops.NarrationEvent); ok {
			said += n.Human + "\n"
		}
		return nil
	})
	if err != nil || !strings.Contains(said, "a request may hold 256 tokens: llamacpp has made that of 1") {
		t.Errorf("it says %s, %v", said, err)
	}
	fails(t, h.Client, ops.WorkerSpawn{Engine: "llamacpp", Flags: []string{"lora=/x"}}, ops.CodeInvalid, "--lora is not passed on")
	fails(t, h.Client, ops.WorkerSpawn{Engine: "llamacpp", Device: "cuda:9"}, ops.CodeNotFound, `no device "cuda:9"`)
}

func TestAWorkerOfACommandLineIsSpawnedAndUsed(t *testing.T) {
	t.Setenv(realEngine, "1")
	program := llamacpptest.Program(t)
	h := start(t)
	fails(t, h.Client, ops.Infer{Prompt: "Once", Engine: "command"}, ops.CodeUnavailable, "no worker on hive localhost runs tinybee by a command line")
	fails(t, h.Client, ops.WorkerSpawn{Engine: "command", Command: "x"}, ops.CodeInvalid, "either {socket} or {port}")
	line := "'" + program + "' --model {model} --alias {name} -np {parallel} -c {context_length} -t 1 --host {socket}"
	w := do(t, h.Client, ops.WorkerSpawn{Engine: "command", Parallel: 1, Command: line})
	if w.Engine != "command" || w.Device != "auto" || w.Slots != 1 || w.Command != line {
		t.Errorf("the worker is %+v", w)
	}
	for _, engine := range []string{"command", "", "auto"} {
		answer := do(t, h.Client, ops.Infer{Prompt: "Once upon a time", MaxTokens: 8, Engine: engine})
		if answer.WorkerID != w.ID || answer.CompletionTokens != 8 {
			t.Errorf("with the engine %q the answer is %+v", engine, answer)
		}
	}
}

// TestAModelThatLlamaCppHasSplitIsOneForBothEngines: its parts come from a server, and
// the answers are those of the whole.
func TestAModelThatLlamaCppHasSplitIsOneForBothEngines(t *testing.T) {
	t.Setenv(realEngine, "1")
	t.Setenv(llamacpp.PathEnv, llamacpptest.Program(t))
	folder := t.TempDir()
	whole := filepath.Join(folder, "tinybee.gguf")
	if err := os.WriteFile(whole, testdata.Tinybee(), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, flags := range map[string][]string{"even": {"--split-max-tensors", "20"}, "bare": {"--split-max-tensors", "20", "--no-tensor-first-split"}} {
		args := append(append([]string{"--split"}, flags...), whole, filepath.Join(folder, name))
		if said, err := exec.CommandContext(t.Context(), llamacpptest.Splitter(t), args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
	}
	server := httptest.NewServer(http.FileServer(http.Dir(folder)))
	t.Cleanup(server.Close)
	h := start(t)
	zero := 0.0
	for _, first := range []string{"even-00001-of-00003.gguf", "bare-00001-of-00004.gguf"} {
		m := do(t, h.Client, ops.ModelDownload{Model: server.URL + "/" + first})
		like := do(t, h.Client, ops.ModelGet{ID: testdata.TinybeeName})
		if m.Error != "" || m.Parameters != like.Parameters || m.Quantization != like.Quantization || m.Context != like.Context || len(m.Files) < 3 {
			t.Errorf("%s is %+v", first, m)
		}
		for _, engine := range []string{"builtin", "llamacpp"} {
			o := ops.Infer{Prompt: "Once upon a time", MaxTokens: 24, Temperature: &zero, Engine: engine}
			o.Model = testdata.TinybeeName
			want := do(t, h.Client, o)
			o.Model = m.ID
			if got := do(t, h.Client, o); got.Text != want.Text || got.CompletionTokens != 24 || got.Model != m.ID {
				t.Errorf("%s of %s says %q, and of the whole %q", engine, first, got.Text, want.Text)
			}
		}
	}
}

func TestWithoutLlamaCppItsWorkersAreRefusedWithAHint(t *testing.T) {
	h := start(t)
	e := fails(t, h.Client, ops.WorkerSpawn{Engine: "llamacpp"}, ops.CodeNotFound, "there is no llama-server that can be run", "on hive localhost")
	if e.Field != "worker" || e.Hint == "" {
		t.Errorf("got %+v", e)
	}
}

// TestAModelThatLlamaCppRejectsSaysWhyAndWhatToDo: the builtin engine would not
// know it either.
func TestAModelThatLlamaCppRejectsSaysWhyAndWhatToDo(t *testing.T) {
	t.Setenv(realEngine, "1")
	t.Setenv(llamacpp.PathEnv, llamacpptest.Program(t))
	h := start(t)
	var b gguftest.Builder
	b.Set("general.architecture", "warp9")
	folder := filepath.Join(h.home.Models(), "odd")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "odd.gguf")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, h.Client, ops.WorkerSpawn{Model: "odd", Engine: "llamacpp"}, ops.CodeUnavailable,
		path+": llama-server cannot load it: unknown model architecture: 'warp9'", "this llama.cpp does not know such models: "+llamacpp.PathEnv+" names it", "its log was")
}

// TestALlamaServerThatIsNamedInVainIsTold: for one that asks for it that is an error,
// for one that leaves the choice open a warning.
func TestALlamaServerThatIsNamedInVainIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		mode   os.FileMode
		code   ops.Code
		says   string
	}{
		"not there":           {"", 0, ops.CodeNotFound, "that can be run: looked at "},
		"no program":          {"echo x", 0o600, ops.CodeNotFound, "(permission denied)"},
		"another program":     {"echo hello", 0o700, ops.CodeUnsupported, `is no llama-server: asked for its version it says "hello"`},
		"one that cannot run": {"echo 'libcuda.so.1: cannot open shared object file' >&2; exit 127", 0o700, ops.CodeUnavailable, "libcuda.so.1: cannot open"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "llama-server")
			if c.mode != 0 {
				if err := os.WriteFile(path, []byte("#!/bin/sh\n"+c.script+"\n"), c.mode); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv(llamacpp.PathEnv, path)
			h := start(t)
			fails(t, h.Client, ops.WorkerSpawn{Engine: "llamacpp"}, c.code, c.says, "RBEE_LLAMA_SERVER names it")
			got := infer(t, h.Client, ops.Infer{Prompt: "x"}, nil)
			if story := strings.Join(got.story, "\n"); got.err != nil || !strings.Contains(story, c.says) || !strings.Contains(story, "; taking the builtin engine (RBEE_LLAMA_SERVER names it") {
				t.Errorf("where the choice is open: %v, %s", got.err, story)
			}
		})
	}
}
