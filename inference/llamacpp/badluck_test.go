package llamacpp

import (
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

func TestAModelThatTheProgramRejectsIsNamedWithItsReason(t *testing.T) {
	program := llamacpptest.Program(t)
	whole := testdata.Tinybee()
	for _, c := range []struct {
		name, says, hint string
		file             []byte
	}{
		{"an unknown architecture", "unknown model architecture: 'warp9'", "rbee engine install", gguftest.Changed(whole, map[string]any{"general.architecture": "warp9"})},
		{"a file that has come in part", "tensor '", "download it again", whole[:len(whole)-100_000]},
		{"only its beginning", "failed to read key-value pairs", "download it again", whole[:1000]},
		{"a chat template that nobody can read", "failed to initialize chat template", "--flag chat-template=chatml", gguftest.Changed(whole, map[string]any{"tokenizer.chat_template": "{% for me{ in messages %}"})},
		{"no model", "invalid magic", "download it again", []byte("GGUX, which is none")},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "odd.gguf")
			write(t, path, c.file)
			_, err := Open(t.Context(), inference.Spec{ModelPath: path, Device: "cpu", Threads: 1}, Options{Path: program})
			if ops.CodeOf(err) != ops.CodeUnavailable || !strings.Contains(err.Error(), path+": llama-server cannot load it: "+c.says) || strings.Contains(err.Error(), " | ") {
				t.Errorf("got %v (%s)", err, ops.CodeOf(err))
			}
			if hint := ops.AsError(err).Hint; !strings.Contains(hint, c.hint) {
				t.Errorf("the hint is %q", hint)
			}
		})
	}
}

func TestAProjectorThatTheProgramRejectsIsNamedAndCanBeLeftOut(t *testing.T) {
	program, folder := llamacpptest.Program(t), t.TempDir()
	path := filepath.Join(folder, "bee.gguf")
	write(t, path, testdata.Tinybee())
	write(t, filepath.Join(folder, "mmproj-bee.gguf"), testdata.Tinybee())
	s := inference.Spec{ModelPath: path, Device: "cpu", Threads: 1, Parallel: 1, ContextLength: 256}
	_, err := Open(t.Context(), s, Options{Path: program})
	if err == nil || !strings.Contains(err.Error(), "bee.gguf: llama-server cannot load it: error: Failed to load CLIP model from ") || !strings.Contains(ops.AsError(err).Hint, "`--flag no-mmproj`") {
		t.Errorf("got %v (hint %q)", err, ops.AsError(err).Hint)
	}
	s.Flags = []string{"no-mmproj"}
	e, err := Open(t.Context(), s, Options{Path: program})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestAContextThatTheProgramCannotCountIsToldOfAndCanBeOverridden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "long.gguf")
	write(t, path, gguftest.Changed(testdata.Tinybee(), map[string]any{"llama.context_length": uint32(1 << 31)}))
	s := inference.Spec{ModelPath: path, Device: "cpu", Threads: 1, Parallel: 1}
	_, err := Open(t.Context(), s, Options{Path: llamacpptest.Program(t)})
	flag := "override-kv=llama.context_length=int:4096"
	if ops.CodeOf(err) != ops.CodeUnsupported || !strings.Contains(err.Error(), "long.gguf: the file tells of a longer context") || !strings.Contains(ops.AsError(err).Hint, "`--flag "+flag+"`") {
		t.Errorf("got %v (hint %q)", err, ops.AsError(err).Hint)
	}
	s.Flags = []string{flag}
	e, err := Open(t.Context(), s, Options{Path: llamacpptest.Program(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestAFlagThatTheProgramDoesNotTakeIsNamed(t *testing.T) {
	real := llamacpptest.Program(t)
	for flag, says := range map[string]string{
		"mlock":              "the llama-server at " + real + " knows no --mlock",
		"cache-type-k=bogus": "the llama-server at " + real + " takes no such --cache-type-k: Unsupported cache type: bogus",
		"flash-attn=maybe":   "the llama-server at " + real + " takes no such --flash-attn: unknown value for --flash-attn: 'maybe'",
		"temp=abc":           "the llama-server at " + real + ` takes no such --temp: "abc" is no number, or too large`,
		"top-k=99999999999":  "the llama-server at " + real + ` takes no such --top-k: "99999999999" is no number, or too large`,
		"numa=x":             "the llama-server at " + real + ` takes no such --numa: invalid value "x"`,
	} {
		_, err := Open(t.Context(), inference.Spec{ModelPath: tinybee(t), Device: "cpu", Threads: 1, Flags: []string{flag}}, Options{Path: real})
		if ops.CodeOf(err) != ops.CodeUnsupported || err.Error() != says || !strings.Contains(ops.AsError(err).Hint, "`rbee engine flags`") {
			t.Errorf("--flag %s gives %v (%s)", flag, err, ops.CodeOf(err))
		}
	}
}

func TestAFlagThatMayBeWhyNothingLoadsIsTold(t *testing.T) {
	s := inference.Spec{ModelPath: tinybee(t), Device: "cpu", Threads: 1, Flags: []string{"jinja", "override-tensor=((((=CPU"}}
	ends := program(t, `test "$1" = --version && echo 'version: 0.7.0 (build 11669, commit x)' || exit 3`)
	for program, then := range map[string]string{
		llamacpptest.Program(t): "another file of the model may do, or another llama.cpp: `rbee engine install` brings the newest one",
		ends:                    "`rbee engine install` brings another llama-server, and --engine builtin does without",
	} {
		_, err := Open(t.Context(), s, Options{Path: program})
		if hint := ops.AsError(err).Hint; hint != "it was given --flag jinja --flag override-tensor=((((=CPU: try without; else "+then {
			t.Errorf("the hint of %v is %q", err, hint)
		}
	}
}

func TestAProgramThatFailsAndIsNamedIsToBeNamedAnew(t *testing.T) {
	for _, ends := range []string{"exit 3", "echo 'error loading model: odd'; exit 1", "echo 'unknown model architecture: x'; exit 1"} {
		path := program(t, `test "$1" = --version && echo 'version: 0.7.0 (build 11669, commit x)' || { `+ends+"; }")
		t.Setenv(PathEnv, path)
		_, err := Open(t.Context(), inference.Spec{ModelPath: tinybee(t), Device: "cpu", Threads: 1}, Options{Path: path})
		if hint := ops.AsError(err).Hint; !strings.Contains(hint, namedHint) || strings.Contains(hint, "engine install") {
			t.Errorf("the hint of %v is %q", err, hint)
		}
	}
}

func TestAProgramThatIsTooOldIsWhyNothingLoads(t *testing.T) {
	old := program(t, `test "$1" = --version && echo 'version: 4000 (abc)' || { echo 'error: invalid host'; exit 1; }`)
	_, err := Open(t.Context(), inference.Spec{ModelPath: tinybee(t)}, Options{Path: old})
	if ops.CodeOf(err) != ops.CodeUnsupported || !strings.Contains(err.Error(), "is too old: it is b4000") || ops.AsError(err).Hint == "" {
		t.Errorf("got %v (%s)", err, ops.CodeOf(err))
	}
}

func TestAProgramThatIsTooOldAndNamedIsToBeNamedAnew(t *testing.T) {
	old := program(t, "echo 'version: 4000 (abc)'")
	t.Setenv(PathEnv, old)
	if _, err := Ask(t.Context(), old); !strings.Contains(ops.AsError(err).Hint, PathEnv+" names it") { // what is installed would not be taken
		t.Errorf("the hint of %v is %q", err, ops.AsError(err).Hint)
	}
}

func TestAProgramThatEndsWithoutAWordSaysWhatToDo(t *testing.T) {
	for ends, want := range map[string][2]string{
		"exit 3":     {"llama-server ended (exit status 3)", "`rbee engine install` brings another llama-server"},
		"kill -9 $$": {"llama-server ended (signal 9, killed)", "give it less to hold"},
	} {
		path := program(t, `test "$1" = --version && echo 'version: 0.7.0 (build 11669, commit x)' || `+ends)
		_, err := Open(t.Context(), inference.Spec{ModelPath: tinybee(t), Device: "cpu", Threads: 1}, Options{Path: path})
		if err == nil || !strings.Contains(err.Error(), want[0]) || !strings.Contains(ops.AsError(err).Hint, want[1]) {
			t.Errorf("%s: %v (%s)", ends, err, ops.AsError(err).Hint)
		}
	}
}

// TestAProgramThatHangsFailsTheAnswerAndNotTheNext: stopped, it neither answers
// nor ends.
func TestAProgramThatHangsFailsTheAnswerAndNotTheNext(t *testing.T) {
	heard := make(chan error, 2)
	e := open(t, inference.Spec{Parallel: 1, ContextLength: 512, Silence: time.Second, Changed: func(why error) { heard <- why }})
	url := front(t, e)
	if err := syscall.Kill(e.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	answer := post(t, t.Context(), url+"/v1/chat/completions", told("bee", nil))
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusGatewayTimeout || !strings.Contains(string(text), "llama-server hung: nothing came from it for ") {
		t.Errorf("got %s %s, %v", answer.Status, text, err)
	}
	if why := <-heard; why == nil || !strings.Contains(why.Error(), "hung") {
		t.Errorf("the worker is told %v", why)
	}
	if back := <-heard; back != nil {
		t.Errorf("and then %v", back)
	}
	var got answered
	ask(t, url+"/v1/chat/completions", told("Once upon a time", nil), &got)
	if got.Usage.Completion != 16 {
		t.Errorf("afterwards: %+v", got)
	}
}

// TestALongPromptIsNoHang: nothing comes while it is read, which takes longer
// than the program may be silent, but it gets on.
func TestALongPromptIsNoHang(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	m := gguftest.Model{Type: gguf.F32, Seed: 1, Layers: 4, Width: 256, Heads: 4, KVHeads: 4, FFN: 1024, Context: 4096}
	write(t, path, m.Bytes())
	e := open(t, inference.Spec{ModelPath: path, Parallel: 1, ContextLength: 4096, Silence: 2 * time.Second, Flags: []string{"batch-size=64", "ubatch-size=64"}})
	pid := e.PID()
	tokens := make([]int, 3000)
	for i := range tokens {
		tokens[i] = 3 + i%40
	}
	var got struct {
		Usage struct {
			Prompt int `json:"prompt_tokens"`
		}
	}
	ask(t, front(t, e)+"/v1/completions", chat{"prompt": tokens, "max_tokens": 1}, &got)
	if got.Usage.Prompt != len(tokens) || e.PID() != pid {
		t.Errorf("got %+v, and process %d is %d now", got, pid, e.PID())
	}
}

func TestASocketThatIsTakenIsTakenOver(t *testing.T) {
	folder := shortFolder(t)
	stranger := listenAt(t, filepath.Join(folder, "engine.sock"))
	e := open(t, inference.Spec{Parallel: 1, Folder: folder})
	var got answered
	ask(t, front(t, e)+"/v1/chat/completions", told("Once upon a time", nil), &got)
	if got.Usage.Completion != 16 || stranger() > 0 {
		t.Errorf("got %+v; the other one was asked %d times", got, stranger())
	}
}

// listenAt is a server at a socket that tells how often it was asked.
func listenAt(t *testing.T, path string) (asked func() int64) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	s := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { n.Add(1) }), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // ends by Close
	}()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return n.Load
}
