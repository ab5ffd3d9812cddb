package keeper

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// TestWhatTheQueensEndLosesIsTold: and why she will not end, where she does not.
func TestWhatTheQueensEndLosesIsTold(t *testing.T) {
	gone := exec.CommandContext(t.Context(), "true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		status     int
		answer     string
		said, told string
	}{
		"nothing":         {http.StatusAccepted, `{"stopping":true}`, "", ""},
		"something":       {http.StatusAccepted, `{"stopping":true,"warning":"honey is lost"}`, "keeper: warning: honey is lost\n", ""},
		"she will not so": {http.StatusConflict, `{"code":"conflict","message":"the queen goes on","hint":"make room"}`, "", "the queen goes on"},
	} {
		t.Run(name, func(t *testing.T) {
			queen := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != daemon.ShutdownPath {
					t.Errorf("asked for %s", r.URL.Path)
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.answer)
			}))
			defer queen.Close()
			var said bytes.Buffer
			root := t.TempDir()
			k := &Keeper{Flags: Flags{Token: secret}, Home: home.Home{Config: root, State: root, Cache: root}, Stderr: &said}
			record := daemon.Record{Process: daemon.Process{PID: gone.Process.Pid}, Address: strings.TrimPrefix(queen.URL, "http://")}
			err := k.shutdown(t.Context(), record, daemon.ScopeAll)
			if e := ops.AsError(err); said.String() != tt.said || tt.told == "" && err != nil || tt.told != "" && (e == nil || e.Message != tt.told || e.Hint != "make room") {
				t.Errorf("it says %q and ends with %v", said.String(), err)
			}
		})
	}
}

// TestAQueenThatTakesNothingAnyMoreIsStopping: it still holds its pid file, and is not up.
func TestAQueenThatTakesNothingAnyMoreIsStopping(t *testing.T) {
	was := httptest.NewServer(nil)
	was.Close()
	root := t.TempDir()
	var shown bytes.Buffer
	k := &Keeper{Home: home.Home{Config: root, State: root, Cache: root}, Stdout: &shown, Stderr: io.Discard}
	pid, _, err := daemon.Lock(k.Home.PIDFile("queen"), daemon.Record{Process: daemon.Self(), Address: strings.TrimPrefix(was.URL, "http://")})
	if err != nil {
		t.Fatal(err)
	}
	defer pid.Release() //nolint:errcheck // the folder goes too
	err = QueenStatus{}.Run(t.Context(), k)
	if !errors.Is(err, transport.ErrUnreachable) || !strings.Contains(err.Error(), "the queen is stopping") {
		t.Errorf("it ends with %v", err)
	}
	if !strings.Contains(shown.String(), "stopping") || strings.Contains(shown.String(), "up at") {
		t.Errorf("it shows %s", shown.String())
	}
}
