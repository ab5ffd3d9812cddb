package command

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/process"
	"rbee.dev/rbee/ops"
)

// Engine is a server program that answers.
type Engine struct {
	*process.Server
	slots   int
	context int
	folder  string // to remove at the end, or ""
}

var _ inference.Engine = (*Engine)(nil)

// Open starts the command line s.Command and returns when its server answers.
func Open(ctx context.Context, s inference.Spec) (_ *Engine, err error) {
	t, err := Parse(s.Command)
	if err != nil {
		return nil, err
	}
	if len(s.Flags) > 0 {
		return nil, ops.Invalid("flags", "the command engine's settings are in its command line")
	}
	program, err := exec.LookPath(t.words[0])
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		e := ops.Errorf(ops.CodeNotFound, "there is no program %q that can be run", t.words[0]).
			WithHint("give its whole path, or see that it is on the PATH that the hive has")
		e.Field = "command"
		return nil, e
	}
	e := &Engine{slots: or(s.Parallel, inference.DefaultParallel), context: s.ContextLength}
	if t.uses["context_length"] { // else nobody has told it of ours
		e.context = or(s.ContextLength, inference.DefaultContextLength)
	}
	folder, temporary, err := process.Folder(s.Folder)
	if err != nil {
		return nil, err
	}
	if temporary {
		e.folder = folder
	}
	file := ""
	if t.uses["model"] {
		file = s.ModelPath
	}
	e.Server, err = process.Start(ctx, process.Options{
		Name: filepath.Base(program), File: file, Changed: s.Changed, Answer: s.Answer, Silence: s.Silence, Stall: s.Stall, Waits: s.Waits, Ready: []string{"/health", "/v1/models"},
		Prepare: func(context.Context) (process.Launch, error) {
			return t.launch(ctx, s, program, filepath.Join(folder, process.Socket))
		},
	})
	if err == nil {
		err = e.learn(ctx)
	}
	if err != nil {
		return nil, errors.Join(unready(t, err), e.Close())
	}
	return e, nil
}

// taken is what programs say of an address that another one has.
var taken = regexp.MustCompile(`(?i)address already in use|EADDRINUSE|couldn't bind`)

// unready adds to the error of a program that ended, or was given up, what it was
// expected to do.
func unready(t Template, err error) error {
	d, ok := errors.AsType[*process.Death](err)
	if !ok {
		return err
	}
	if d.Why == "" && slices.ContainsFunc(d.Lines, taken.MatchString) {
		return ops.Errorf(ops.CodeUnavailable, "%w", err).
			WithHint("another program listens there: give the command again, which takes another port where the command line says {port}")
	}
	if d.Why == "" {
		return ops.Errorf(ops.CodeUnavailable, "%w", err).
			WithHint("run the command line by hand, with values for what is in braces, and see what it lacks")
	}
	where := "{socket}"
	if t.uses["port"] {
		where = "{port}"
	}
	return ops.Errorf(ops.CodeUnavailable, "%w", err).
		WithHint("the command line must have it listen on %s, and it is ready when it answers /health, or else /v1/models, with 200; a slow one gets longer by RBEE_ENGINE_SILENCE", where)
}

func or(n, fallback int) int {
	if n > 0 {
		return n
	}
	return fallback
}

// launch is one start of the program: a port and a key are good for one.
func (t Template) launch(ctx context.Context, s inference.Spec, program, socket string) (process.Launch, error) {
	l := process.Launch{Path: program, Network: "unix", Address: socket, Env: environment(os.Environ(), s.Device)}
	values := map[string]string{
		"model": s.ModelPath, "name": s.ModelID, "socket": socket,
		"parallel":       strconv.Itoa(or(s.Parallel, inference.DefaultParallel)),
		"context_length": strconv.Itoa(or(s.ContextLength, inference.DefaultContextLength)),
		"threads":        strconv.Itoa(or(s.Threads, runtime.NumCPU())),
	}
	if t.uses["port"] {
		port, err := freePort(context.WithoutCancel(ctx))
		if err != nil {
			return l, err
		}
		l.Key = rand.Text()
		l.Network, l.Address = "tcp", net.JoinHostPort("127.0.0.1", port)
		l.Env = append(l.Env, "RBEE_API_KEY="+l.Key, "VLLM_API_KEY="+l.Key)
		values["port"], values["api_key"] = port, l.Key
	} else if err := os.RemoveAll(socket); err != nil { // a dead one's stays behind
		return l, fmt.Errorf("make room for the socket: %w", err)
	}
	l.Args = t.fill(values)[1:]
	return l, nil
}

// freePort is a port of 127.0.0.1 that nobody listens on now.
func freePort(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// environment leaves of the machine's GPUs those that are wanted, in the way that
// each kind's own libraries know. The numbers are those of the bus, as in
// nvidia-smi, where the environment does not count otherwise.
func environment(env []string, device string) []string {
	var cuda, rocm []string
	for one := range strings.SplitSeq(device, ",") {
		family, number, _ := strings.Cut(one, ":")
		switch family {
		case "cpu":
			return append(env, cudaVisible+"=", rocmVisible+"=")
		case "cuda":
			cuda = append(cuda, visible(env, cudaVisible, number))
		case "rocm":
			rocm = append(rocm, visible(env, rocmVisible, number))
		}
	}
	if len(cuda) > 0 {
		env = process.ByBus(append(env, cudaVisible+"="+strings.Join(cuda, ",")))
	}
	if len(rocm) > 0 {
		env = append(env, rocmVisible+"="+strings.Join(rocm, ","))
	}
	return env
}

// The variables by which CUDA and HIP know which GPUs a program is to see.
const (
	cudaVisible = "CUDA_VISIBLE_DEVICES"
	rocmVisible = "HIP_VISIBLE_DEVICES"
)

// visible is the name of a GPU with that number, for a program that is to see it:
// where the environment names some, the number counts among those.
func visible(env []string, variable, number string) string {
	n, err := strconv.Atoi(number)
	for _, v := range env {
		names, ok := strings.CutPrefix(v, variable+"=")
		if list := strings.Split(names, ","); ok && err == nil && n < len(list) && names != "" {
			return strings.TrimSpace(list[n])
		}
	}
	return number
}

// learn asks the program how many tokens a request may hold; vLLM says so
// beside the model's name.
func (e *Engine) learn(ctx context.Context) error {
	answer, err := e.Get(ctx, "/v1/models")
	if err != nil {
		return fmt.Errorf("ask for the models: %w", err)
	}
	defer answer.Body.Close()
	var models struct {
		Data []struct {
			Length int `json:"max_model_len"`
		} `json:"data"`
	}
	if answer.StatusCode == http.StatusOK && json.NewDecoder(answer.Body).Decode(&models) == nil &&
		len(models.Data) > 0 && models.Data[0].Length > 0 {
		e.context = models.Data[0].Length
	}
	return nil // one that does not say has what it was told
}

// Slots is how many requests were asked to run at once.
func (e *Engine) Slots() int { return e.slots }

// ContextLength is how many tokens each request may hold, as the program says
// or, where it does not, as it was asked for; 0 is not known.
func (e *Engine) ContextLength() int { return e.context }

// Close ends the program and waits until it is gone.
func (e *Engine) Close() error {
	var err error
	if e.Server != nil {
		err = e.Server.Close()
	}
	if e.folder != "" {
		err = errors.Join(err, os.RemoveAll(e.folder))
	}
	return err
}
