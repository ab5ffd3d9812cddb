package keeper

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// TestAQueenThatIsKilledWhileItStartsIsStartedOnceMore: the second one is killed too.
func TestAQueenThatIsKilledWhileItStartsIsStartedOnceMore(t *testing.T) {
	root := t.TempDir()
	starts, program := filepath.Join(root, "starts"), filepath.Join(root, "rbee")
	script := "#!/bin/sh\necho x >>'" + starts + "'\nkill -9 $$\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	var said bytes.Buffer
	k := &Keeper{
		Home:   home.Home{Config: root, State: filepath.Join(root, "state"), Cache: filepath.Join(root, "cache")},
		Stderr: &said, Listen: "127.0.0.1:0", Binary: program,
	}
	_, err := k.ensure(t.Context())
	if !errors.Is(err, transport.ErrUnreachable) || err.Error() != "the queen ended before it was up: killed by signal 9" {
		t.Errorf("got %v", err)
	}
	if e := ops.AsError(err); e == nil || !strings.Contains(e.Hint, k.Home.Log("queen")) {
		t.Errorf("its hint is %+v", e)
	}
	if !strings.Contains(said.String(), "starting it once more") {
		t.Errorf("it says %s", said.String())
	}
	if text, err := os.ReadFile(starts); err != nil || string(text) != "x\nx\n" {
		t.Errorf("it was started %q, %v", text, err)
	}
}
