package daemon

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestADaemonWhosePIDFileIsRemovedIsTold(t *testing.T) {
	for name, tt := range map[string]struct {
		remove func(path string) error
		left   bool // there is a pid file in the end
	}{
		"the folder": {func(path string) error { return os.RemoveAll(filepath.Dir(path)) }, false},
		"the file":   {os.Remove, false},
		"the lock":   {func(path string) error { return os.Remove(path + ".lock") }, true},
		"the folder is renewed": {func(path string) error {
			if err := os.RemoveAll(filepath.Dir(path)); err != nil {
				return err
			}
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				return err
			}
			_, _, err := Lock(path, Record{Process: Self()}) // ends with the test's process
			return err
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state", "queen.pid")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			p, _, err := Lock(path, Record{Process: Self()})
			if err != nil {
				t.Fatal(err)
			}
			told := make(chan bool, 1)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { // received below
				gone, err := p.Gone(ctx)
				if err != nil {
					t.Error(err)
				}
				told <- gone
			}()
			for range 3 { // which removes nothing
				if err := p.Write(Record{Process: Self(), Version: "2"}); err != nil {
					t.Fatal(err)
				}
			}
			if _, alive, err := Running(path); err != nil || !alive {
				t.Errorf("it does not run: %v", err)
			}
			if err := tt.remove(path); err != nil {
				t.Fatal(err)
			}
			if !<-told {
				t.Error("it was not told")
			}
			if err := p.Release(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(path); (err == nil) != tt.left {
				t.Errorf("the pid file that is there now: %v", err)
			}
		})
	}
}

func TestADaemonThatEndsIsNotToldOfItsPIDFile(t *testing.T) {
	p, _, err := Lock(filepath.Join(t.TempDir(), "queen.pid"), Record{Process: Self()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if gone, err := p.Gone(ctx); gone || err != nil {
		t.Errorf("%v, %v", gone, err)
	}
	if err := p.Release(); err != nil {
		t.Error(err)
	}
}

func TestASocketThatIsRemovedIsToldOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	told := make(chan bool, 1)
	go func() { // received below
		gone, err := Removed(t.Context(), path)
		if err != nil {
			t.Error(err)
		}
		told <- gone
	}()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if !<-told {
		t.Error("it was not told")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if gone, err := Removed(ended, t.TempDir()); gone || err != nil {
		t.Errorf("of one that stays: %v, %v", gone, err)
	}
}
