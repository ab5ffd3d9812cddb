package ssh_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
	"rbee.dev/rbee/transport/ssh/sshtest"
)

// content is bytes that do not repeat.
func content(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func file(b []byte, path string) ssh.File {
	return ssh.File{Reader: bytes.NewReader(b), Size: int64(len(b)), SHA256: sum(b), Mode: 0o755, Path: path}
}

// copies are the two ways a file goes, and what a server may put in between.
var copies = map[string]sshtest.Options{
	"over SFTP":           {},
	"through the shell":   {NoSFTP: true},
	"past a noisy .login": {Noise: "Welcome!\n"},
}

// wantLeft checks what is in a folder of the server's.
func wantLeft(t *testing.T, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("in the folder there is %q, want %q", got, want)
	}
}

func TestAFileArrivesWholeAndInPlace(t *testing.T) {
	for name, so := range copies {
		for size, n := range map[string]int{"large": 3<<20 + 17, "empty": 0} {
			t.Run(name+", "+size, func(t *testing.T) {
				c, s := to(t, so)
				folder := filepath.Join(s.Home, "a folder; $(touch pwned)")
				if err := os.Mkdir(folder, 0o700); err != nil {
					t.Fatal(err)
				}
				sent := content(n)
				for _, path := range []string{filepath.Join(folder, "rbee's"), "relative", "-flag"} {
					f := file(sent, path)
					last := int64(0)
					f.Progress = func(done, total int64) {
						if done < last || total != int64(n) {
							t.Errorf("progress %d of %d after %d", done, total, last)
						}
						last = done
					}
					for range 2 { // the second replaces the first
						last = 0
						f.Reader = bytes.NewReader(sent)
						if err := c.Upload(within(t), f); err != nil {
							t.Fatal(err)
						}
					}
					if !filepath.IsAbs(path) {
						path = filepath.Join(s.Home, path)
					}
					got, err := os.ReadFile(path)
					if err != nil || !bytes.Equal(got, sent) {
						t.Errorf("%s has %d bytes (%v), want the %d sent", path, len(got), err, n)
					}
					if info, err := os.Stat(path); err != nil || info.Mode() != 0o755 {
						t.Errorf("the mode is %v (%v)", info.Mode(), err)
					}
					if last != int64(n) {
						t.Errorf("the last progress was %d of %d", last, n)
					}
				}
				wantLeft(t, folder, "rbee's")
				wantLeft(t, s.Home, "-flag", "a folder; $(touch pwned)", "relative")
			})
		}
	}
}

func TestAFileThatIsNotAsPromisedIsNotPutInPlace(t *testing.T) {
	sent := content(1 << 20)
	for name, so := range copies {
		for what, tt := range map[string]struct {
			change func(*ssh.File)
			text   string
		}{
			"shorter":    {func(f *ssh.File) { f.Size++ }, "shrunk"},
			"longer":     {func(f *ssh.File) { f.Size-- }, "grown"},
			"another":    {func(f *ssh.File) { f.SHA256 = sum(nil) }, "not the one it should be"},
			"unreadable": {func(f *ssh.File) { f.Reader = io.MultiReader(bytes.NewReader(sent[:1000]), broken{}) }, "the disk is gone"},
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				c, s := to(t, so)
				old := filepath.Join(s.Home, "rbee")
				if err := os.WriteFile(old, []byte("old"), 0o600); err != nil {
					t.Fatal(err)
				}
				f := file(sent, old)
				tt.change(&f)
				wantError(t, c.Upload(within(t), f), ops.CodeInvalid, tt.text)
				wantLeft(t, s.Home, "rbee")
				if got, _ := os.ReadFile(old); string(got) != "old" {
					t.Error("the old file has gone")
				}
			})
		}
	}
}

// tool puts a program of the given text in front of the PATH of a server.
func tool(t *testing.T, name, text string) []string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
}

func TestAnUploadThatFailsLeavesNothing(t *testing.T) {
	full := "echo header; echo x x x 100 x x"
	for name, tt := range map[string]struct {
		server sshtest.Options
		path   string
		code   ops.Code
		text   string
	}{
		"no folder":                  {sshtest.Options{}, "none/rbee", ops.CodeNotFound, "there is no folder"},
		"a folder there":             {sshtest.Options{}, "folder", ops.CodeConflict, "is a folder"},
		"a read-only folder":         {sshtest.Options{}, "/proc/rbee", ops.CodeDenied, "cannot be written"},
		"too little room":            {sshtest.Options{Env: tool(t, "df", full)}, "rbee", ops.CodeUnavailable, "is full"},
		"the disk fills over SFTP":   {sshtest.Options{SFTPFails: 100_000}, "rbee", ops.CodeUnavailable, "upload"},
		"the disk fills, shell":      {sshtest.Options{NoSFTP: true, Env: tool(t, "cat", "head -c 1000 >/dev/null; echo 'cat: No space left on device' >&2; exit 1")}, "rbee", ops.CodeUnavailable, "the disk is full"},
		"what arrives is another":    {sshtest.Options{NoSFTP: true, Env: tool(t, "cat", "head -c 1000; head -c 10000000 >/dev/null")}, "rbee", ops.CodeInternal, "not what was sent"},
		"no name":                    {sshtest.Options{}, "", ops.CodeInvalid, "names no file"},
		"a folder's name":            {sshtest.Options{}, "folder/", ops.CodeInvalid, "names no file"},
		"a NUL":                      {sshtest.Options{}, "rb\x00ee", ops.CodeInvalid, "names no file"},
		"the hash cannot be renamed": {sshtest.Options{Env: tool(t, "mv", "echo 'mv: Permission denied' >&2; exit 1")}, "rbee", ops.CodeDenied, "cannot be written"},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := to(t, tt.server)
			if err := os.Mkdir(filepath.Join(s.Home, "folder"), 0o700); err != nil {
				t.Fatal(err)
			}
			wantError(t, c.Upload(within(t), file(content(4<<20), tt.path)), tt.code, tt.text)
			wantLeft(t, s.Home, "folder")
			wantLeft(t, filepath.Join(s.Home, "folder"))
		})
	}
}

func TestAMachineWithoutAToolForHashesIsReadBack(t *testing.T) {
	// A PATH with nothing but what the scripts need.
	dir := t.TempDir()
	for _, name := range []string{"cat", "chmod", "df", "find", "mv", "rm", "sh"} {
		for _, from := range []string{"/bin", "/usr/bin"} {
			if _, err := os.Stat(filepath.Join(from, name)); err == nil {
				_ = os.Symlink(filepath.Join(from, name), filepath.Join(dir, name))
			}
		}
	}
	c, s := to(t, sshtest.Options{Env: []string{"PATH=" + dir}})
	sent := content(1 << 20)
	if err := c.Upload(within(t), file(sent, "rbee")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(s.Home, "rbee")); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes arrived (%v)", len(got), err)
	}
	wantLeft(t, s.Home, "rbee")
}

// signalling tells when so much was read, and then gives no more.
type signalling struct {
	r    io.Reader
	once func()
	hold <-chan struct{}
}

func (s signalling) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err == io.EOF {
		s.once()
		<-s.hold
	}
	return n, err
}

func TestAnUploadThatIsCancelledLeavesNothing(t *testing.T) {
	for name, so := range copies {
		t.Run(name, func(t *testing.T) {
			c, s := to(t, so)
			ctx, cancel := context.WithCancel(within(t))
			f := file(content(4<<20), "rbee")
			hold := make(chan struct{})
			f.Reader = signalling{io.LimitReader(f.Reader, 1<<20), func() { cancel(); time.AfterFunc(50*time.Millisecond, func() { close(hold) }) }, hold}
			wantError(t, c.Upload(ctx, f), ops.CodeCancelled, "")
			wantLeft(t, s.Home)
			if out, err := c.Run(within(t), ssh.Command{Argv: []string{"true"}}); err != nil || out.Exit != 0 {
				t.Errorf("the connection is of no more use: %v", err)
			}
		})
	}
}

func TestTheNextUploadRemovesWhatACutOneLeft(t *testing.T) {
	for name, so := range copies {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t)
			s := a.server(t, so)
			c := connect(t, s, a.options())
			f := file(content(4<<20), "rbee")
			hold := make(chan struct{})
			close(hold)
			f.Reader = signalling{io.LimitReader(f.Reader, 1<<20), s.Drop, hold}
			wantError(t, c.Upload(within(t), f), ops.CodeUnavailable, "the connection was cut")
			for s.Sessions() > 0 { // what wrote over there ends a moment later
				time.Sleep(10 * time.Millisecond)
			}
			if left, _ := filepath.Glob(filepath.Join(s.Home, ".rbee-upload-*")); len(left) != 1 {
				t.Fatalf("there is %q, want one temporary file", left)
			}
			others := filepath.Join(s.Home, ".rbee-upload-another-x")
			stale := filepath.Join(s.Home, ".rbee-upload-another-y")
			for _, path := range []string{others, stale} {
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chtimes(stale, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
				t.Fatal(err)
			}
			if err := connect(t, s, a.options()).Upload(within(t), file(content(4<<20), "rbee")); err != nil {
				t.Fatal(err)
			}
			wantLeft(t, s.Home, filepath.Base(others), "rbee")
		})
	}
}
