package queen

import (
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/modes/home"
)

func TestAStopWaitsForAHiveThatIsJustBeingStarted(t *testing.T) {
	h, err := home.Find(func(name string) string { return map[string]string{"RBEE_HOME": t.TempDir()}[name] })
	if err != nil {
		t.Fatal(err)
	}
	l := newLocalHive(h, "/nowhere/rbee", "build", zerolog.Nop())
	t.Cleanup(l.Close)
	l.starting <- struct{}{} // a start is on its way
	stopped := make(chan error, 1)
	go func() { stopped <- l.stop(t.Context()) }()
	select {
	case err := <-stopped:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if <-l.starting; <-stopped != nil {
		t.Error("it failed, though no hive was started")
	}
	if err := l.ensure(t.Context()); err == nil {
		t.Error("a hive that was stopped is started again")
	}
}
