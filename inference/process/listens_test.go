package process

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
)

func TestAProgramThatSpeaksNoHTTPIsReadyWhenItListens(t *testing.T) {
	o := fake(t, "well")
	o.Listens, o.Ready = true, []string{"/echo"} // never says 200
	s := run(t, o)
	conn, err := s.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

func TestADeathIsExplainedByWhoeverKnowsMore(t *testing.T) {
	o := fake(t, "well")
	o.Explain = func(why error) error { return fmt.Errorf("the part on gpu2 was lost: %w", why) }
	whys := make(chan error, 10)
	o.Changed = func(why error) { whys <- why }
	s := run(t, o)
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	why := <-whys
	if d, ok := errors.AsType[*Death](why); !ok || d.Name != "fake-server" || !strings.HasPrefix(why.Error(), "the part on gpu2 was lost: fake-server ended") {
		t.Errorf("it says %v", why)
	}
}

func TestAStartThatIsPutOffEndsWithTheServer(t *testing.T) {
	o := fake(t, "well")
	prepare := o.Prepare
	starts, waiting := 0, make(chan struct{})
	o.Prepare = func(ctx context.Context) (Launch, error) {
		if starts++; starts == 1 {
			return prepare(ctx)
		}
		close(waiting)
		<-ctx.Done()
		return Launch{}, context.Cause(ctx)
	}
	s := run(t, o)
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-waiting
	if err := s.Close(); err != nil { // which would wait for ever
		t.Error(err)
	}
}
