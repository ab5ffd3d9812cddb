package hive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// noLlama is an environment without any llama-server.
func noLlama(t *testing.T) {
	t.Helper()
	for _, path := range llamacpp.Installed() {
		if strings.HasPrefix(path, "/usr/local/") || strings.HasPrefix(path, "/opt/") {
			if os.Getenv("CI") != "" {
				t.Fatalf("CI's machine must have no llama-server of its own, got %s", path)
			}
			t.Skip("this machine has a llama-server where every process finds it")
		}
	}
	t.Setenv(llamacpp.PathEnv, "")
	t.Setenv("PATH", "/nowhere")
	t.Setenv("HOME", t.TempDir())
}

// saying is a program that says it is build n.
func saying(n int) string {
	return fmt.Sprintf("#!/bin/sh\ncase $1 in --version) echo 'version: %d (abc)';; *) echo 'Available devices:';; esac\n", n)
}

// releases serves builds of llama.cpp for this machine, which hold the programs.
func releases(t *testing.T, programs map[int]string) string {
	t.Helper()
	system := map[string]string{"linux": "ubuntu", "darwin": "macos"}[runtime.GOOS]
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	files := map[string][]byte{}
	for n, program := range programs {
		var out bytes.Buffer
		packed := gzip.NewWriter(&out)
		w := tar.NewWriter(packed)
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("llama-b%d/llama-server", n), Mode: 0o755, Size: int64(len(program))}); err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte(program))
		_, _ = w.Close(), packed.Close()
		name := fmt.Sprintf("llama-b%d-bin-%s-%s.tar.gz", n, system, arch)
		folder := fmt.Sprintf("/download/b%d/", n)
		files[folder+name] = out.Bytes()
		files[folder+"SHA256SUMS"] = fmt.Appendf(nil, "%x *%s\n", sha256.Sum256(out.Bytes()), name)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// find is the engine called id in a list.
func find(list ops.Engines, id string) ops.Engine {
	for _, e := range list.Engines {
		if e.ID == id {
			return e
		}
	}
	return ops.Engine{}
}

func TestTheEnginesOfAHiveAreListedWithTheOneThatRuns(t *testing.T) {
	noLlama(t)
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	h := start(t)
	list := do(t, h.Client, ops.EngineList{})
	if len(list.Engines) != 2 || !find(list, "builtin").Default || find(list, "command").Default {
		t.Errorf("with none there is %+v", list)
	}
	path := filepath.Join(bin, "llama-server")
	write := func(n int) {
		if err := os.WriteFile(path, []byte(saying(n)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(9000)
	if e := find(do(t, h.Client, ops.EngineList{}), "path"); !e.Default || e.Version != "b9000" || e.Path != path || e.Accelerators != "cpu" || e.Origin != ops.EngineFound {
		t.Errorf("on PATH there is %+v", e)
	}
	fails(t, h.Client, ops.EngineRemove{ID: "path"}, ops.CodeConflict, "the engine path of hive localhost is "+path+", which rbee found there and has not installed", "by the system's packages or by hand")
	write(400)
	list = do(t, h.Client, ops.EngineList{})
	if e := find(list, "path"); e.Default || !strings.Contains(e.Error, "is too old: it is b400") || !find(list, "builtin").Default {
		t.Errorf("when it is too old: %+v", list)
	}
	fails(t, h.Client, ops.WorkerSpawn{Engine: "llamacpp"}, ops.CodeUnsupported, "is too old", "rbee engine install")
	if w := do(t, h.Client, ops.WorkerSpawn{}); w.Engine != "builtin" { // which is what is left
		t.Errorf("by itself it takes %+v", w)
	}
	t.Setenv(llamacpp.PathEnv, "/nowhere/llama-server")
	if e := find(do(t, h.Client, ops.EngineList{}), "named"); e.Error == "" || e.Path != "/nowhere/llama-server" || e.Default {
		t.Errorf("one that is named and not there: %+v", e)
	}
	fails(t, h.Client, ops.EngineRemove{ID: "named"}, ops.CodeConflict, "which RBEE_LLAMA_SERVER names and rbee has not installed", "unset RBEE_LLAMA_SERVER")
}

func TestAnEngineThatNoWorkerWillRunIsInstalledWithAWordAboutThat(t *testing.T) {
	t.Setenv(llamacpp.PathEnv, llamacpp.None)
	t.Setenv("RBEE_LLAMACPP_RELEASES", releases(t, map[int]string{9000: saying(9000)}))
	h := start(t)
	accepted, err := h.Client.Submit(t.Context(), ops.EngineInstall{Version: "b9000"}, "")
	if err != nil {
		t.Fatal(err)
	}
	var job heard
	job.follow(t.Context(), h.Client, accepted.JobID)
	if said := strings.Join(job.story, "\n"); job.err != nil || !strings.Contains(said, "no worker will run it while RBEE_LLAMA_SERVER is none") {
		t.Errorf("it says %s, %v", said, job.err)
	}
}

func TestAnInstalledEngineIsWhatWorkersRunAndIsNotRemovedUnderThem(t *testing.T) {
	t.Setenv(realEngine, "1")
	script, err := os.ReadFile(llamacpptest.Program(t))
	if err != nil {
		t.Fatal(err)
	}
	noLlama(t)
	from := releases(t, map[int]string{11669: string(script), 9000: saying(9000)})
	t.Setenv("RBEE_LLAMACPP_RELEASES", from)
	h := start(t)
	e := do(t, h.Client, ops.EngineInstall{Version: "b11669"})
	if e.ID != "b11669-cpu" || !e.Default || !e.Used || e.Version != "b11669" || e.Origin != ops.EngineInstalled || e.InstalledAt == nil || e.Size == 0 {
		t.Errorf("it is %+v", e)
	}
	w := do(t, h.Client, ops.WorkerSpawn{Device: "cpu", Parallel: 1, Context: 256})
	if w.Engine != "llamacpp" || w.Program != e.Path {
		t.Errorf("the worker is %+v", w)
	}
	if answer := do(t, h.Client, ops.Infer{Prompt: "Once upon a time", MaxTokens: 8}); answer.WorkerID != w.ID || answer.CompletionTokens != 8 {
		t.Errorf("the answer is %+v", answer)
	}
	if other := do(t, h.Client, ops.EngineInstall{Version: "9000", From: from}); !other.Default || other.ID != "b9000-cpu" {
		t.Errorf("the other is %+v", other)
	}
	if e := find(do(t, h.Client, ops.EngineList{}), "b11669-cpu"); e.Used || e.Default {
		t.Errorf("afterwards the first is %+v", e)
	}
	fails(t, h.Client, ops.EngineRemove{ID: "b11669-cpu"}, ops.CodeConflict, "worker "+w.ID+" runs the engine b11669-cpu", "rbee worker delete "+w.ID)
	do(t, h.Client, ops.WorkerDelete{ID: w.ID})
	if r := do(t, h.Client, ops.EngineRemove{ID: "b11669-cpu"}); r.Freed != e.Size || r.ID != "b11669-cpu" {
		t.Errorf("removed: %+v", r)
	}
	fails(t, h.Client, ops.EngineRemove{ID: "b9001-cpu"}, ops.CodeNotFound, "has installed no engine", `did you mean "b9000-cpu"`)
	fails(t, h.Client, ops.EngineRemove{ID: "builtin"}, ops.CodeConflict, "the engine builtin is part of rbee and cannot be removed", "rbee engine install")
	if _, err := os.Stat(e.Path); err == nil {
		t.Error("its program is still there")
	}
}

func TestAnInstallThatIsGivenUpIsListedGoneOnWithOrRemoved(t *testing.T) {
	noLlama(t)
	// The name of an archive is all that says what it is: no matter what this one holds.
	name := fmt.Sprintf("llama-b9000-bin-%s-%s.tar.gz", map[string]string{"linux": "ubuntu", "darwin": "macos"}[runtime.GOOS], map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH])
	archive := append([]byte("\x1f\x8b"), bytes.Repeat([]byte("bee"), 500_000)...)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if filepath.Base(r.URL.Path) == "SHA256SUMS" {
			_, _ = fmt.Fprintf(w, "%x *%s\n", sha256.Sum256(archive), name)
			return
		}
		w.Header().Set("ETag", `"one"`)
		http.ServeContent(&stopper{w, r.Context(), 900_000}, r, "", time.Time{}, bytes.NewReader(archive))
	}))
	t.Cleanup(s.Close)
	h := start(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	_, err := h.Client.Do(ctx, ops.EngineInstall{Version: "b9000", From: s.URL}, "", func(r transport.Received) error {
		if e, ok := r.Event.(ops.ProgressEvent); ok && e.Done > 0 {
			cancel(ops.Errorf(ops.CodeCancelled, "enough"))
		}
		return nil
	})
	wantError(t, err, ops.CodeCancelled)
	var e ops.Engine
	for tries := 0; tries < 1000 && !strings.HasPrefix(e.Error, "it has come in part only"); tries++ { // the job ends after its follower
		e = find(do(t, h.Client, ops.EngineList{}), "b9000-cpu")
	}
	line := fmt.Sprintf("`rbee engine install b9000 --accelerator cpu --from %s` goes on from there, `rbee engine remove b9000-cpu` removes it", s.URL)
	if !strings.HasSuffix(e.Error, " of 1.4 MiB") || e.Hint != line || e.Used || e.Default || e.Size == 0 {
		t.Errorf("it is %+v, want %s", e, line)
	}
	if gone := do(t, h.Client, ops.EngineRemove{ID: "b9000-cpu"}); gone.Freed != e.Size {
		t.Errorf("removing it gives %+v", gone)
	}
	fails(t, h.Client, ops.EngineRemove{ID: "b9000-cpu"}, ops.CodeNotFound, "has installed no engine")
}
