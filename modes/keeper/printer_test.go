package keeper

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

// printed is a line of `-o events`.
type printed struct {
	ID    uint64
	Event string
	Data  struct{ Code, Message, Text string }
}

func events(t *testing.T, text []byte) (list []printed) {
	t.Helper()
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		var p printed
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		list = append(list, p)
	}
	return list
}

func TestTheLastEventOfAnAnswerHasItsNumberToo(t *testing.T) {
	for name, failure := range map[string]error{"result": nil, "error": ops.Errorf(ops.CodeUnavailable, "no luck")} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, func(ctx context.Context, _ ops.Op) (any, error) {
				ops.Emit(ctx, ops.TokenEvent{Text: "one"})
				ops.Emit(ctx, ops.TokenEvent{Text: "two"})
				return ops.Answer{Text: "onetwo"}, failure
			})
			c.Output = "events"
			if err := (&Infer{Prompt: "x"}).Run(t.Context(), c.Keeper); (err == nil) != (failure == nil) {
				t.Fatal(err)
			}
			list := events(t, c.out.Bytes())
			if last := list[len(list)-1]; len(list) != 3 || last.Event != name || last.ID != 3 || failure != nil && last.Data.Message != "no luck" {
				t.Errorf("it prints %s", c.out)
			}
		})
	}
}

func TestCtrlCIsACancelAmongTheEventsToo(t *testing.T) {
	c := newClient(t, func(ctx context.Context, _ ops.Op) (any, error) {
		ops.Emit(ctx, ops.TokenEvent{Text: "one"})
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	c.Output = "events"
	ctx, cancel := context.WithCancelCause(t.Context())
	c.Stdout = writing(func(text []byte) {
		c.out.Write(text)
		cancel(daemon.Signal{Signal: syscall.SIGINT})
	})
	err := (&Infer{Prompt: "x"}).Run(ctx, c.Keeper)
	if _, ok := errors.AsType[daemon.Signal](err); !ok {
		t.Errorf("the error is %v", err)
	}
	list := events(t, c.out.Bytes())
	if last := list[len(list)-1]; last.Event != "error" || last.Data.Code != string(ops.CodeCancelled) || last.ID != 0 {
		t.Errorf("it prints %s", c.out)
	}
}

// writing is a writer that hands on what is written.
type writing func(text []byte)

// Write hands text on.
func (w writing) Write(text []byte) (int, error) {
	w(text)
	return len(text), nil
}

func TestATokenThatNoHeaderCarriesIsRefusedAtOnce(t *testing.T) {
	c := newClient(t, func(context.Context, ops.Op) (any, error) { return ops.Answer{Text: "hi"}, nil })
	c.Token = secret[:4] + "\n" + secret[4:]
	err := (&Infer{Prompt: "x"}).Run(t.Context(), c.Keeper)
	if e := ops.AsError(err); ops.CodeOf(err) != ops.CodeInvalid || e.Field != "token" {
		t.Errorf("got %v", err)
	}
	c.Token = secret + "\r\n" // as another system's editor ends lines
	if err := (&Infer{Prompt: "x"}).Run(t.Context(), c.Keeper); err != nil {
		t.Errorf("with an end of line behind it: %v", err)
	}
}

// terminal is one (pts(4)), and what it has shown so far.
func terminal(t *testing.T) (at *os.File, shown func() string) {
	t.Helper()
	master, at, err := pty.Open()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("no terminals here: %v", err)
	}
	var text []byte
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for buf := make([]byte, 4096); ; {
			n, err := master.Read(buf)
			if text = append(text, buf[:n]...); err != nil {
				return
			}
		}
	}()
	closing := func() {
		_ = at.Close() // after which the master's reads fail
		<-ended
		_ = master.Close()
	}
	return at, func() string { closing(); return strings.ReplaceAll(string(text), "\r\n", "\n") }
}

func TestWhatIsSaidInTheMiddleOfAnAnswerStandsOnALineOfItsOwn(t *testing.T) {
	at, shown := terminal(t)
	c := newClient(t, func(ctx context.Context, _ ops.Op) (any, error) {
		for range 100 {
			ops.Emit(ctx, ops.TokenEvent{Text: "bee "})
		}
		return ops.Answer{}, nil
	})
	c.Stdout, c.Stderr = at, at
	broken := c.through(t, func(n int64) int64 { return 600 + 400*n })
	if err := (&Infer{Prompt: "x"}).Run(t.Context(), c.Keeper); err != nil {
		t.Fatal(err)
	}
	text := shown()
	if broken.Load() == 0 || !strings.Contains(text, "bee \nkeeper: lost the queen") {
		t.Errorf("%d connections broke, and the terminal shows %q", broken.Load(), text)
	}
	for line := range strings.Lines(text) {
		if at := strings.Index(line, "keeper:"); at > 0 {
			t.Errorf("a line of the keeper's begins in the middle of %q", line)
		}
	}
	if n := strings.Count(text, "bee"); n != 100 {
		t.Errorf("the answer is shown as %d words", n)
	}
}
