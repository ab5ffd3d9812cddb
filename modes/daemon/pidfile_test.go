package daemon_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
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

func TestAStartThatFailsLeavesWhatIsSaidOfTheOneThatDied(t *testing.T) {
	died := daemon.Record{Address: "127.0.0.1:1", Args: []string{"--queue-depth", "9"}}
	text, err := json.Marshal(died)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		before []byte
		want   []string
	}{"one has died": {text, died.Args}, "there was none": {}} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "queen.pid")
			if tt.before != nil {
				if err := os.WriteFile(path, tt.before, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			p, _, err := daemon.Lock(path, daemon.Record{Process: daemon.Self()})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.GiveUp(); err != nil {
				t.Fatal(err)
			}
			got, err := daemon.Read(path)
			if !slices.Equal(got.Args, tt.want) || (err == nil) != (tt.want != nil) {
				t.Errorf("it says %+v, %v", got, err)
			}
		})
	}
}
