package llamacpp

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
	"rbee.dev/rbee/inference/process"
	"rbee.dev/rbee/ops"
)

// openRPC starts a real rpc-server and ends it with the test.
func openRPC(t *testing.T) *RPC {
	t.Helper()
	t.Setenv(RPCPathEnv, llamacpptest.RPC(t))
	e, err := OpenRPC(t.Context(), inference.Spec{Threads: 1})
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

func TestAnRPCServerListensOnLoopbackAloneAndTakesNoRequests(t *testing.T) {
	e := openRPC(t)
	conn, err := e.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if !strings.HasPrefix(conn.RemoteAddr().String(), "127.0.0.1:") {
		t.Errorf("it listens on %s", conn.RemoteAddr())
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader("{}")))
	if w.Code < 400 || !strings.Contains(w.Body.String(), "holds a part of a model") {
		t.Errorf("a request is answered with %d, %s", w.Code, w.Body)
	}
}

func TestAnRPCServerThatDiesIsStartedAgain(t *testing.T) {
	e := openRPC(t)
	conn, err := e.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := syscall.Kill(e.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the connection ends with %v", err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if again, err := e.Dial(t.Context()); err == nil {
			_ = again.Close()
			return
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func TestAnRPCServerIsFoundBesideLlamaServer(t *testing.T) {
	program := func(path string) string {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, path, []byte("#!/bin/sh\n"))
		if err := os.Chmod(path, 0o700); err != nil { //nolint:gosec // it is to be run
			t.Fatal(err)
		}
		return path
	}
	root := t.TempDir()
	t.Setenv("PATH", filepath.Join(root, "path"))
	server := program(filepath.Join(root, "release", Name))
	link := filepath.Join(root, Name)
	if err := os.Symlink(server, link); err != nil {
		t.Fatal(err)
	}
	if _, err := FindRPC(link); ops.CodeOf(err) != ops.CodeNotFound || !strings.Contains(ops.AsError(err).Hint, "rbee engine install") {
		t.Errorf("without one: %v", err)
	}
	for _, path := range []string{"path/" + RPCName, "release/ggml-" + RPCName, "release/" + RPCName} { // each goes before those before it
		want := program(filepath.Join(root, path))
		if got, err := FindRPC(link); err != nil || got != want {
			t.Errorf("found %s, %v; want %s", got, err, want)
		}
	}
	named := program(filepath.Join(root, "named"))
	t.Setenv(RPCPathEnv, named)
	if got, err := FindRPC(link); err != nil || got != named {
		t.Errorf("named is %s, %v", got, err)
	}
	t.Setenv(RPCPathEnv, "/nowhere")
	if got, err := FindRPC(link); err == nil {
		t.Errorf("one that is named and not there: %s", got)
	}
}

// elsewhere are parts at addresses that are known.
type elsewhere []string

func (e elsewhere) Reach(context.Context) ([]string, error) { return e, nil }
func (e elsewhere) Lost(ctx context.Context) bool           { <-ctx.Done(); return false }
func (e elsewhere) Explain(why error) error                 { return why }

func TestAPartOfAnotherVersionIsAClearError(t *testing.T) {
	program := llamacpptest.Program(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		llamacpptest.ServeRPC(l)
	}()
	defer func() {
		_ = l.Close()
		<-served
	}()
	_, err = Open(t.Context(), inference.Spec{ModelPath: tinybee(t), Threads: 1, Device: "cpu", Parts: elsewhere{l.Addr().String()}}, Options{Path: program})
	if ops.CodeOf(err) != ops.CodeUnsupported || !strings.Contains(err.Error(), "versions of llama.cpp that do not work together") || !strings.Contains(err.Error(), "RPC") {
		t.Errorf("it fails with %v", err)
	}
	if hint := ops.AsError(err).Hint; !strings.Contains(hint, "rbee engine install") {
		t.Errorf("its hint is %q", hint)
	}
}

func TestADividedModelsDevicesAndLayers(t *testing.T) {
	two := elsewhere{"127.0.0.1:1", "127.0.0.1:2"}
	for _, c := range []struct {
		name   string
		spec   inference.Spec
		want   string // of the start
		layers int    // of 10, with the output
	}{
		{"on whatever there is", inference.Spec{Parts: two}, "--rpc 127.0.0.1:1,127.0.0.1:2", 0},
		{"on a GPU and the parts", inference.Spec{Parts: two, Device: "cuda:1"}, "--rpc 127.0.0.1:1,127.0.0.1:2 --device CUDA1,RPC0,RPC1", 0},
		{"on the CPU and the parts", inference.Spec{Parts: two, Device: "cpu", Share: 0.3}, "--rpc 127.0.0.1:1,127.0.0.1:2 --device RPC0,RPC1", 7},
		{"hardly any here", inference.Spec{Parts: two, Share: 0.001}, "--rpc 127.0.0.1:1,127.0.0.1:2", 9},
		{"hardly any there", inference.Spec{Parts: two, Share: 0.999}, "--rpc 127.0.0.1:1,127.0.0.1:2", 1},
		{"in one place", inference.Spec{Share: 0.5}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l process.Launch
			if err := divide(t.Context(), c.spec, &l); err != nil || strings.Join(l.Args, " ") != c.want {
				t.Errorf("started with %q, %v", l.Args, err)
			}
			if got := layers(c.spec, model{blocks: 9}); got != c.layers {
				t.Errorf("%d layers go to the parts, want %d", got, c.layers)
			}
			args, err := arguments(c.spec, model{path: "/m.gguf", blocks: 9})
			if err != nil || slices.Contains(args, "--device") || slices.Contains(args, "--gpu-layers") != (c.layers > 0) {
				t.Errorf("arguments %q, %v", args, err)
			}
		})
	}
}
