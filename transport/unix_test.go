package transport_test

import (
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// serveHealth answers /health on l until the test ends.
func serveHealth(t *testing.T, l net.Listener) {
	t.Helper()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "localhost" {
			http.Error(w, "foreign host "+r.Host, http.StatusForbidden)
			return
		}
		writeJSON(w, http.StatusOK, ops.Health{Status: "ok", Mode: "hive"})
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

func TestUnixSocketAtAPathOfAnyLength(t *testing.T) {
	for name, folder := range map[string]string{
		"short": "s",
		"long":  strings.Repeat("a-folder-with-a-long-name/", 8),
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), folder)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "hive.sock")
			l, err := transport.ListenUnix(path)
			if err != nil {
				t.Fatal(err)
			}
			serveHealth(t, l)
			c := transport.New(transport.Unix(path))
			defer c.Close()
			h, err := c.Health(t.Context())
			if err != nil || h.Mode != "hive" {
				t.Fatalf("Health() = %+v, %v", h, err)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("the socket has mode %v, want 0600", info.Mode().Perm())
			}
		})
	}
}

func TestUnixSocketAtARelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	dir := strings.Repeat("a-folder-with-a-long-name/", 8)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := transport.ListenUnix(filepath.Join(dir, "hive.sock"))
	if err != nil {
		t.Fatal(err)
	}
	serveHealth(t, l)
	c := transport.New(transport.Unix(filepath.Join(dir, "hive.sock")))
	defer c.Close()
	if _, err := c.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestListenUnixReplacesTheSocketOfADeadProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hive.sock")
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := transport.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there after Close: %v", err)
	}
}

func TestListenUnixLeavesWhatIsNotStale(t *testing.T) {
	t.Run("a socket that is answered", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "hive.sock")
		first, err := transport.ListenUnix(path)
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		if _, err := transport.ListenUnix(path); err == nil || !strings.Contains(err.Error(), "another process answers") {
			t.Errorf("second ListenUnix() = %v, want that another process answers", err)
		}
	})
	t.Run("a folder", func(t *testing.T) {
		path := t.TempDir()
		if _, err := transport.ListenUnix(path); err == nil || !strings.Contains(err.Error(), path+": a folder is where the socket belongs") || ops.AsError(err).Hint != "remove the folder "+path {
			t.Errorf("ListenUnix() = %v, want that the folder is in the way", err)
		}
	})
	t.Run("a file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "hive.sock")
		if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := transport.ListenUnix(path); err == nil || !strings.Contains(err.Error(), path+": a file is where the socket belongs") || ops.AsError(err).Hint != "remove the file "+path {
			t.Errorf("ListenUnix() = %v, want that the file is in the way", err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
			t.Errorf("the file holds %q, %v", text, err)
		}
	})
}

func TestClosingLeavesTheSocketOfASuccessor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hive.sock")
	old, err := transport.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	// Its inode must not be the old one's again, which a file in between holds.
	if err := os.WriteFile(path+".keep", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	next, err := transport.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSocket == 0 {
		t.Errorf("the successor's socket is gone: %v", err)
	}
}
