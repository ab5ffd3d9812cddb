package daemon_test

import (
	"path/filepath"
	"testing"

	"rbee.dev/rbee/modes/daemon"
)

func TestTheReasonIsTheLastThingADaemonLogged(t *testing.T) {
	for log, want := range map[string]daemon.LogLine{
		`{"level":"error","error":"port taken","hint":"another","message":"it cannot start"}` + "\nrbee: port taken\n      another": {
			Message: "it cannot start", Error: "port taken", Hint: "another",
		},
		`{"level":"info","message":"up"}`: {Message: "up"},
		"goroutine 1:\npanic: ouch":       {Message: "panic: ouch"},
		"":                                {Message: "it said nothing"},
	} {
		if got := daemon.LastLogged(write(t, filepath.Join(t.TempDir(), "x.log"), log)); got != want {
			t.Errorf("%s: %+v", log, got)
		}
	}
	if got := (daemon.LogLine{Message: "it cannot start", Error: "port taken"}).String(); got != "it cannot start: port taken" {
		t.Errorf("it reads %q", got)
	}
}
