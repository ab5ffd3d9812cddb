package daemon_test

import (
	"os"
	"path/filepath"
	"testing"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

func TestADaemonThatEndsHasSaidWhyInItsLog(t *testing.T) {
	const before = `{"level":"error","error":"of yesterday","hint":"old","message":"it cannot start"}` + "\n"
	for name, tt := range map[string]struct {
		script string
		want   daemon.LogLine
	}{
		"an error that it logged, not what it tells as a command": {
			`echo '{"level":"error","error":"port taken","hint":"another","code":"unavailable","message":"it cannot start"}'; echo 'rbee: port taken'; echo '      another'; exit 1`,
			daemon.LogLine{Message: "it cannot start", Error: "port taken", Hint: "another", Code: ops.CodeUnavailable},
		},
		"what it tells as a command, where it logged nothing": {
			`echo 'rbee: --depth: must be a whole number'; echo '      see --help'; exit 2`,
			daemon.LogLine{Message: "--depth: must be a whole number", Hint: "see --help", Code: ops.CodeInvalid},
		},
		"that, and not how it went before": {
			`echo '{"level":"info","message":"up"}'; echo 'rbee: no space left on device'; exit 1`,
			daemon.LogLine{Message: "no space left on device"},
		},
		"how it went, where nothing failed":   {`echo '{"level":"info","message":"up"}'`, daemon.LogLine{Message: "up"}},
		"the last words of what is no daemon": {`echo one; echo two; exit 1`, daemon.LogLine{Message: "two"}},
		"the end of very much": {
			`head -c 900000 /dev/zero | tr '\\0' 'x'; echo; seq 1000; echo 'rbee: it is too much'; exit 1`,
			daemon.LogLine{Message: "it is too much"},
		},
		"a line that was cut": {
			`echo '{"level":"info","message":"up"}'; printf '{"level":"error","error":"no spa'; exit 1`,
			daemon.LogLine{Message: "up"},
		},
		"nothing": {`exit 3`, daemon.LogLine{Message: "it said nothing"}},
	} {
		t.Run(name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "x.log")
			if err := os.WriteFile(log, []byte(before), 0o600); err != nil {
				t.Fatal(err)
			}
			child, err := daemon.Spawn(daemon.Command{Binary: "/bin/sh", Args: []string{"-c", tt.script}, Log: log})
			if err != nil {
				t.Fatal(err)
			}
			<-child.Done()
			if got := child.Said(); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	if got := (daemon.LogLine{Message: "it cannot start", Error: "port taken"}).String(); got != "it cannot start: port taken" {
		t.Errorf("it reads %q", got)
	}
}
