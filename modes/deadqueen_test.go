package modes_test

import (
	"errors"
	"net"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestAQueenThatDiesAndCannotStartAgainIsToldOfOnce: another program has taken her
// port. The job is there for the queen that comes when it is free, there and started as
// she was.
func TestAQueenThatDiesAndCannotStartAgainIsToldOfOnce(t *testing.T) {
	t.Parallel() // it waits
	p := newPlace(t, "HF_ENDPOINT=http://127.0.0.1:9")
	want := p.undisturbed()
	queen := p.record("queen")
	a := p.begin()
	p.kill(queen.PID)
	var taken net.Listener
	for err := error(syscall.EADDRINUSE); errors.Is(err, syscall.EADDRINUSE); { // until the system has taken it back
		taken, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", queen.Address)
	}
	if taken == nil {
		t.Fatal("her port cannot be taken")
	}
	_, code := a.end()
	said := a.stderr.String()
	if code != 3 {
		t.Errorf("it ends with %d: %s", code, said)
	}
	for _, line := range []string{"lost the queen", "starting the queen", "the queen does not start"} {
		if n := strings.Count(said, line); n != 1 {
			t.Errorf("%q is told %d times: %s", line, n, said)
		}
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	follow := regexp.MustCompile("`rbee (job follow [A-Z0-9]+)`").FindStringSubmatch(said)
	if follow == nil {
		t.Fatalf("the job is not named: %s", said)
	}
	if text := p.rbee(strings.Fields(follow[1])...); text != want {
		t.Errorf("later it is %d bytes of %d", len(text), len(want))
	}
	if now := p.record("queen"); now.Address != queen.Address || !slices.Equal(now.Env, queen.Env) || len(now.Env) == 0 {
		t.Errorf("the queen after her is at %s, with %q; she was at %s, with %q", now.Address, now.Env, queen.Address, queen.Env)
	}
}
