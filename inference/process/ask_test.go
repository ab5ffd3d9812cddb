package process

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// script is a program that the shell runs.
func script(text string) Launch { return Launch{Path: "/bin/sh", Args: []string{"-c", text}} }

func TestWhatAProgramPrintsIsHeard(t *testing.T) {
	for name, c := range map[string]struct {
		script, want string
		only         bool
		code         int
	}{
		"its output and its errors": {"echo a; echo b >&2", "a\nb\n", false, 0},
		"its output only":           {"echo a; echo b >&2", "a\n", true, 0},
		"also where it fails":       {"echo a; exit 2", "a\n", false, 2},
		"much":                      {"head -c 5000000 /dev/zero | tr '\\0' x", strings.Repeat("x", 5_000_000), false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := script(c.script)
			l.OutputOnly = c.only
			got, err := Ask(t.Context(), l)
			code := 0
			if e, ok := errors.AsType[*exec.ExitError](err); ok {
				code, err = e.ExitCode(), nil
			}
			if string(got) != c.want || code != c.code || err != nil {
				t.Errorf("got %.40q, %d, %v", got, code, err)
			}
		})
	}
}

func TestAProgramThatPrintsWithoutEndIsEnded(t *testing.T) {
	for _, text := range []string{"exec yes", "yes & yes", "trap '' PIPE; while :; do yes; done"} {
		if got, err := Ask(t.Context(), script(text)); !errors.Is(err, ErrEndless) || got != nil {
			t.Errorf("%s: got %d bytes, %v", text, len(got), err)
		}
	}
}

func TestNothingOutlivesAProgramThatWasAsked(t *testing.T) {
	for name, text := range map[string]string{
		"one that hangs":                 "sleep 600 & echo $!; wait",
		"one that leaves a child behind": "sleep 600 & echo $!",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			began := time.Now()
			got, _ := Ask(ctx, script(text))
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("it took %s", d)
			}
			child, err := strconv.Atoi(strings.TrimSpace(string(got)))
			if err != nil {
				t.Fatal(err)
			}
			for n := 0; alive(child); n++ { // the kernel has it in hand
				if time.Sleep(10 * time.Millisecond); n > 200 {
					t.Fatal("its child runs on")
				}
			}
		})
	}
}
