package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

func TestAFolderInThePlaceOfThePIDFileIsSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queen.pid")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	_, _, err := daemon.Lock(path, daemon.Record{Process: daemon.Self()})
	if err == nil || !strings.Contains(err.Error(), "a folder is where the pid file belongs: "+path) || ops.AsError(err).Hint != "remove the folder" {
		t.Errorf("it says %+v", ops.AsError(err))
	}
}
