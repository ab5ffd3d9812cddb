package llamacpp

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/process"
	"rbee.dev/rbee/ops"
)

// RPCName is what llama.cpp calls the program that holds a part of a model whose
// other parts are elsewhere. It has no authentication and must listen on loopback
// alone, where every account of its machine can reach it.
const RPCName = "rpc-server"

// RPCPathEnv names, in the environment, the rpc-server to run in place of one
// that is looked for.
const RPCPathEnv = "RBEE_LLAMA_RPC_SERVER"

// FindRPC returns the path of rpc-server: what [RPCPathEnv] names, else the
// program beside the llama-server at the path server ("" looks for one), as
// releases have it, else the one on PATH. Newer releases call it ggml-rpc-server.
func FindRPC(server string) (string, error) {
	places := []string{os.Getenv(RPCPathEnv)}
	if places[0] == "" {
		places = besideOrOnPath(server)
	}
	for _, place := range places {
		if found, err := exec.LookPath(place); err == nil {
			return filepath.Abs(found)
		}
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no %s that can be run", RPCName).
		WithHint("llama.cpp's releases have it beside llama-server: install the one that the first hive has (`rbee engine install`), or name the program by %s", RPCPathEnv)
	e.Field = "hives"
	return "", e
}

// besideOrOnPath is where an rpc-server is looked for.
func besideOrOnPath(server string) (places []string) {
	names := []string{RPCName, "ggml-" + RPCName}
	if found, err := Find(server); err == nil {
		if found, err = filepath.EvalSymlinks(found); err == nil {
			for _, name := range names {
				places = append(places, filepath.Join(filepath.Dir(found), name))
			}
		}
	}
	return append(places, names...)
}

// RPC is an rpc-server that holds a part of a model of another machine's. It
// answers no requests.
type RPC struct{ *process.Server }

var _ inference.Engine = (*RPC)(nil)

// OpenRPC starts rpc-server on a port of the machine's loopback and returns when
// it listens. It learns of the model from whoever connects.
func OpenRPC(ctx context.Context, s inference.Spec) (*RPC, error) {
	program := s.Program
	if program == "" {
		var err error
		if program, err = FindRPC(""); err != nil {
			return nil, err
		}
	}
	if len(s.Flags) > 0 {
		return nil, ops.Invalid("flags", "%s takes none: they are for the worker that it is a part of", RPCName)
	}
	server, err := process.Start(ctx, process.Options{
		Name: RPCName, Changed: s.Changed, Stall: s.Stall, Waits: s.Waits, Listens: true,
		Prepare: func(ctx context.Context) (process.Launch, error) { return launchRPC(ctx, s, program) },
	})
	if err != nil {
		return nil, err
	}
	return &RPC{server}, nil
}

// launchRPC is one start of the program. A port is good for one.
func launchRPC(ctx context.Context, s inference.Spec, program string) (process.Launch, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return process.Launch{}, fmt.Errorf("find a free port: %w", err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return process.Launch{}, fmt.Errorf("find a free port: %w", err)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return process.Launch{}, fmt.Errorf("find a free port: %w", err)
	}
	args := []string{"--host", host, "--port", port}
	if s.Threads > 0 {
		args = append(args, "--threads", strconv.Itoa(s.Threads))
	}
	if d := rpcDevice(s.Device); d != "" {
		args = append(args, "--device", d)
	}
	return process.Launch{Path: program, Args: args, Env: environment(os.Environ(), program), Network: "tcp", Address: address}, nil
}

// rpcDevice is the program's name for a device; "" leaves it to the program,
// which takes all GPUs that it can use, or else the CPU.
func rpcDevice(name string) string {
	if d := device(name); d != "none" {
		return d
	}
	return "CPU"
}

// ServeHTTP refuses every request.
func (e *RPC) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	process.Refuse(w, ops.Errorf(ops.CodeUnsupported, "this worker holds a part of a model and takes no requests").
		WithHint("ask the worker that it is a part of, which `rbee worker list` names"))
}

// Slots is one: the program serves one connection after the other.
func (e *RPC) Slots() int { return 1 }

// ContextLength is not known here.
func (e *RPC) ContextLength() int { return 0 }
