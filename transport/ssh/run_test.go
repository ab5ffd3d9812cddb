package ssh_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
	"rbee.dev/rbee/transport/ssh/sshtest"
)

// awkward is every byte that a shell could take for something else.
func awkward() string {
	var b strings.Builder
	for c := 1; c < 256; c++ {
		b.WriteByte(byte(c))
	}
	return b.String() + "$(touch pwned) `touch pwned` ; touch pwned %s \\01 \\c !! ~ -n"
}

func TestACommandGetsItsArgumentsAsTheyAreInEveryShell(t *testing.T) {
	for _, shell := range []string{"sh", "bash", "dash", "zsh", "fish", "csh", "tcsh", "busybox"} {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skipf("%s is not installed", shell)
			}
			if shell == "busybox" {
				link := filepath.Join(t.TempDir(), "ash")
				if err := os.Symlink(path, link); err != nil {
					t.Fatal(err)
				}
				path = link
			}
			c, s := to(t, sshtest.Options{Shell: path})
			arg := awkward()
			for name, cmd := range map[string]ssh.Command{
				"argv":   {Argv: []string{"printf", "%s", arg}},
				"script": {Script: `printf %s "$1"`, Args: []string{arg}},
				"env":    {Script: `printf %s "$WORD"`, Env: map[string]string{"WORD": arg}},
				"stdin":  {Argv: []string{"cat"}, Stdin: strings.NewReader(arg)},
			} {
				out, err := c.Run(within(t), cmd)
				if err != nil || out.Exit != 0 {
					t.Fatalf("%s: exit %d, %v, %s", name, out.Exit, err, out.Stderr)
				}
				if string(out.Stdout) != arg {
					t.Errorf("%s: the argument arrived as %q, want %q", name, out.Stdout, arg)
				}
			}
			if _, err := os.Stat(filepath.Join(s.Home, "pwned")); err == nil {
				t.Error("an argument was run as a command")
			}
		})
	}
}

func TestACommandTellsItsOutputAndExitStatus(t *testing.T) {
	c, _ := to(t, sshtest.Options{})
	for name, tt := range map[string]struct {
		cmd            ssh.Command
		stdout, stderr string
		exit           int
	}{
		"both outputs":        {ssh.Command{Script: "echo out; echo err >&2"}, "out\n", "err\n", 0},
		"a failure":           {ssh.Command{Script: "exit 7"}, "", "", 7},
		"a signal":            {ssh.Command{Script: "kill -TERM $$"}, "", "", 143},
		"nothing":             {ssh.Command{Argv: []string{"true"}}, "", "", 0},
		"no input":            {ssh.Command{Argv: []string{"cat"}}, "", "", 0},
		"input nobody reads":  {ssh.Command{Argv: []string{"true"}, Stdin: io.LimitReader(zeros{}, 8<<20)}, "", "", 0},
		"output without line": {ssh.Command{Script: "printf end"}, "end", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := c.Run(within(t), tt.cmd)
			if err != nil {
				t.Fatal(err)
			}
			if string(out.Stdout) != tt.stdout || string(out.Stderr) != tt.stderr || out.Exit != tt.exit {
				t.Errorf("Run() = %q, %q, %d; want %q, %q, %d", out.Stdout, out.Stderr, out.Exit, tt.stdout, tt.stderr, tt.exit)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestNoiseOfTheLoginShellIsNoOutput(t *testing.T) {
	for name, noise := range map[string]string{
		"lines":         "Welcome!\nYou have mail.\n",
		"no line's end": "Welcome! ",
		"much":          strings.Repeat("la ", 100_000) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := to(t, sshtest.Options{Noise: noise})
			out, err := c.Run(within(t), ssh.Command{Script: "echo out; echo err >&2"})
			if err != nil || string(out.Stdout) != "out\n" || string(out.Stderr) != "err\n" {
				t.Errorf("Run() = %q, %q, %v; want the command's words alone", out.Stdout, out.Stderr, err)
			}
		})
	}
}

func TestMuchOutputIsCutOffAndTheCommandEnds(t *testing.T) {
	c, _ := to(t, sshtest.Options{})
	out, err := c.Run(within(t), ssh.Command{Script: "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2"})
	if err != nil || out.Exit != 0 {
		t.Fatalf("exit %d, %v", out.Exit, err)
	}
	if len(out.Stdout) != 1<<20 || !out.Truncated || len(out.Stderr) != 16<<10 {
		t.Errorf("got %d bytes (truncated: %v) and %d of the error output; want 1 MiB, cut, and 16 KiB", len(out.Stdout), out.Truncated, len(out.Stderr))
	}
}

func TestACommandThatIsCancelledEndsOverThere(t *testing.T) {
	for name, tt := range map[string]struct {
		server sshtest.Options
		script string
	}{
		"when asked":          {sshtest.Options{}, `echo $$ > pid; sleep 1000`},
		"when killed":         {sshtest.Options{}, `trap "" TERM; echo $$ > pid; while :; do sleep 1000; done`},
		"without signals":     {sshtest.Options{NoSignals: true}, `echo $$ > pid; sleep 1000`},
		"in the middle of it": {sshtest.Options{NoSignals: true}, `(sleep 1000) & echo $$ > pid; wait`},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := to(t, tt.server)
			ctx, cancel := context.WithCancel(within(t))
			go func() {
				for ctx.Err() == nil {
					if text, err := os.ReadFile(filepath.Join(s.Home, "pid")); err == nil && len(text) > 0 {
						cancel()
					}
					time.Sleep(time.Millisecond)
				}
			}()
			_, err := c.Run(ctx, ssh.Command{Script: tt.script})
			wantError(t, err, ops.CodeCancelled, "run a command on")
			for s.Sessions() > 0 {
				if within(t).Err() != nil {
					t.Fatal("the session is still there")
				}
				time.Sleep(time.Millisecond)
			}
			if out, err := c.Run(within(t), ssh.Command{Script: `kill -0 "$(cat pid)"`}); err != nil || out.Exit == 0 {
				t.Errorf("the command is still there (exit %d, %v)", out.Exit, err)
			}
		})
	}
}

func TestACommandOnADeadMachineEndsWithItsContext(t *testing.T) {
	a := newAccount(t)
	s := a.server(t, sshtest.Options{})
	c := connect(t, s, a.options())
	s.Freeze()
	ctx, cancel := context.WithTimeout(within(t), 50*time.Millisecond)
	defer cancel()
	_, err := c.Run(ctx, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, ops.CodeTimeout, "no answer in time")
}

func TestACutConnectionEndsItsCommands(t *testing.T) {
	c, s := to(t, sshtest.Options{})
	p, err := c.Start(within(t), ssh.Command{Script: "echo begun; cat"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(p.Stdout, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	s.Drop()
	if _, err := p.Stdout.Read(make([]byte, 1)); err == nil {
		t.Error("there is still output")
	}
	<-c.Done()
	_, err = p.Wait()
	wantError(t, err, ops.CodeUnavailable, "was lost")
	_, err = c.Run(within(t), ssh.Command{Argv: []string{"true"}})
	wantError(t, err, ops.CodeUnavailable, "was lost")
}

func TestALongRunningCommandIsSpokenWith(t *testing.T) {
	c, _ := to(t, sshtest.Options{Noise: "Welcome!\n"})
	p, err := c.Start(within(t), ssh.Command{Script: "echo warming up >&2; cat; exit 3"})
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"one", "two"} {
		if _, err := io.WriteString(p.Stdin, word); err != nil {
			t.Fatal(err)
		}
		back := make([]byte, len(word))
		if _, err := io.ReadFull(p.Stdout, back); err != nil || string(back) != word {
			t.Fatalf("got %q, %v back, want %q", back, err, word)
		}
	}
	if err := p.Stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if exit, err := p.Wait(); exit != 3 || err != nil {
		t.Errorf("Wait() = %d, %v; want 3", exit, err)
	}
	if p.Stderr() != "warming up\n" {
		t.Errorf("Stderr() = %q", p.Stderr())
	}
}

func TestACommandThatCannotRunIsAClearError(t *testing.T) {
	for name, tt := range map[string]struct {
		server sshtest.Options
		cmd    ssh.Command
		code   ops.Code
		text   string
	}{
		"no shell":         {sshtest.Options{NoShell: true}, ssh.Command{Argv: []string{"true"}}, ops.CodeUnavailable, "run a command"},
		"nologin":          {sshtest.Options{Shell: "/bin/echo", Noise: "This account is not available.\n"}, ssh.Command{Argv: []string{"true"}}, ops.CodeUnavailable, "not available"},
		"no such shell":    {sshtest.Options{Shell: "/no/such/shell"}, ssh.Command{Argv: []string{"true"}}, ops.CodeUnavailable, "did not run"},
		"a NUL byte":       {sshtest.Options{}, ssh.Command{Argv: []string{"a\x00b"}}, ops.CodeInvalid, "NUL"},
		"a bad variable":   {sshtest.Options{}, ssh.Command{Script: "true", Env: map[string]string{"A;B": ""}}, ops.CodeInvalid, "environment variable"},
		"too long":         {sshtest.Options{}, ssh.Command{Argv: []string{strings.Repeat("long ", 40_000)}}, ops.CodeInvalid, "too long"},
		"too many at once": {sshtest.Options{MaxSessions: -1}, ssh.Command{Argv: []string{"true"}}, ops.CodeUnavailable, "no more sessions"},
		"a broken input": {
			sshtest.Options{},
			ssh.Command{Argv: []string{"cat"}, Stdin: io.MultiReader(bytes.NewReader([]byte("x")), broken{})},
			ops.CodeInternal, "read the input",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := to(t, tt.server)
			_, err := c.Run(within(t), tt.cmd)
			e, _ := errors.AsType[*ops.Error](err)
			if e == nil || e.Code != tt.code || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("Run() = %v, want %s with %q", err, tt.code, tt.text)
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the disk is gone") }
