package hive

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestAnObituarySaysWhatTheLogTells(t *testing.T) {
	killed := errors.New("killed by signal 9 (killed)")
	exit := errors.New("exit status 2")
	panicked := "{\"level\":\"info\",\"message\":\"ready\"}\npanic: runtime error: index out of range\n\ngoroutine 7 [running]:\n" +
		strings.Repeat("main.f()\n\t/src/main.go:7 +0x1\n", 500) + "exit status 2\n"
	for _, c := range []struct {
		name, log, said string
		status          error
		code            ops.Code
		want            string
	}{
		{"nothing", "", "", nil, ops.CodeUnavailable, "worker w1 ended: its process is gone"},
		{"no room for a word", "", "", exec.CommandContext(t.Context(), "false").Run(), ops.CodeUnavailable, "worker w1 ended: exit status 1, and nothing is in its log, as where the disk is full"},
		{"a signal", "", "", killed, ops.CodeUnavailable, "worker w1 ended: killed by signal 9 (killed)"},
		{
			"routine", `{"level":"info","message":"job started"}` + "\n", "", killed, ops.CodeUnavailable,
			"worker w1 ended: killed by signal 9 (killed)",
		},
		{
			"a line of a library's", "ran out of luck\n", "", killed, ops.CodeUnavailable,
			"worker w1 ended: killed by signal 9 (killed); the last line of its log: ran out of luck",
		},
		{"a panic", panicked, "", exit, ops.CodeUnavailable, "worker w1 ended (exit status 2): panic: runtime error: index out of range"},
		{
			"a file that was cut short", "unexpected fault address 0x7f2b8c1a2000\nfatal error: fault\n[signal SIGBUS: bus error code=0x2 addr=0x7f2b8c1a2000 pc=0x48d]\n\ngoroutine 19 [running]:\n", "", exit, ops.CodeUnavailable,
			"worker w1 ended (exit status 2): a part of its model's file is gone: the file was cut short while it was used, or its disk cannot be read",
		},
		{"the kernel's memory", "fatal error: out of memory\n", "", exit, ops.CodeUnavailable, "worker w1 ended (exit status 2): fatal error: out of memory"},
		{
			"an error of rbee's, and what main prints of it", `{"level":"error","code":"unsupported","error":"no such tensor","message":"cannot load"}` + "\nrbee: no such tensor\n",
			"", exit, ops.CodeUnsupported, "worker w1 ended (exit status 2): cannot load: no such tensor",
		},
		{
			"what it said of itself", `{"level":"error","code":"invalid","error":"too long","message":"cannot load"}` + "\n", "load m: too long", exit,
			ops.CodeInvalid, "worker w1 failed: load m: too long",
		},
		{
			"a command line that it does not take", "rbee: RBEE_ENGINE_SILENCE: must be 1s at least\n      `rbee worker serve --help` shows how it is used\n", "", exit,
			ops.CodeUnavailable, "worker w1 ended (exit status 2): RBEE_ENGINE_SILENCE: must be 1s at least",
		},
		{"a code of no worker's", `{"level":"error","code":"cancelled","message":"x"}` + "\n", "", exit, ops.CodeUnavailable, "worker w1 ended (exit status 2): x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "worker.log")
			if err := os.WriteFile(path, []byte(c.log), 0o600); err != nil {
				t.Fatal(err)
			}
			e := obituary(ops.Worker{ID: "w1", Error: c.said, LogPath: path}, c.status)
			if e.Code != c.code || e.Message != c.want || !strings.Contains(e.Hint, path) {
				t.Errorf("got %s %q (%s), want %s %q", e.Code, e.Message, e.Hint, c.code, c.want)
			}
		})
	}
}

func TestALogWithoutAnEndInSightIsReadFromItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "worker.log")
	text := strings.Repeat("x", 1<<20) + "\n" + `{"level":"error","message":"at last"}` + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if l := lastWords(path); l.Message != "at last" {
		t.Errorf("got %+v", l)
	}
}

func TestWithoutALogThereAreNoWords(t *testing.T) {
	if l := lastWords(filepath.Join(t.TempDir(), "worker.log")); l.Message != "" {
		t.Errorf("got %+v", l)
	}
}
