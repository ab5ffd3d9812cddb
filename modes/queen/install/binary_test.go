package install

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

// program writes the header of an ELF file for a machine (elf(5)).
func program(t *testing.T, machine uint16) string {
	t.Helper()
	header := make([]byte, 64)
	copy(header, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(header[16:], 2) // an executable
	binary.LittleEndian.PutUint16(header[18:], machine)
	binary.LittleEndian.PutUint32(header[20:], 1)
	binary.LittleEndian.PutUint16(header[52:], 64)
	binary.LittleEndian.PutUint16(header[54:], 56)
	binary.LittleEndian.PutUint16(header[58:], 64)
	path := filepath.Join(t.TempDir(), "rbee")
	if err := os.WriteFile(path, header, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	amd64   = 62
	aarch64 = 183
	riscv   = 243
)

func TestTheBinaryFitsTheMachine(t *testing.T) {
	linux, arm := Platform{"linux", "amd64"}, Platform{"linux", "arm64"}
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := arm
	if own() == arm {
		other = linux
	}
	for _, tt := range []struct {
		name string
		s    Sources
		p    Platform
		code ops.Code // "" is no error
		says string
	}{
		{"its own", Sources{Own: self}, own(), "", ""},
		{"a given one", Sources{Given: program(t, aarch64)}, arm, "", ""},
		{"a given one for another", Sources{Given: program(t, amd64)}, arm, ops.CodeInvalid, "is for linux/amd64, and the machine is linux/arm64"},
		{"a given one for an unknown", Sources{Given: program(t, riscv)}, arm, ops.CodeInvalid, "EM_RISCV"},
		{"a script", Sources{Given: script}, linux, ops.CodeInvalid, "no program"},
		{"a file that is not there", Sources{Given: script + "x"}, linux, ops.CodeInvalid, "no such file"},
		{"none for the machine", Sources{Own: self}, other, ops.CodeUnsupported, "and the machine is " + other.String()},
		{"a machine that nobody builds for", Sources{Own: self, Releases: "http://127.0.0.1:1"}, Platform{"SunOS", "sun4v"}, ops.CodeUnsupported, "SunOS/sun4v"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := tt.s.Choose(t.Context(), tt.p)
			if ops.CodeOf(err) != tt.code || (err != nil && !strings.Contains(err.Error(), tt.says)) {
				t.Fatalf("got %v, want %q with %q", err, tt.code, tt.says)
			}
			if err != nil && ops.AsError(err).Code == ops.CodeUnsupported && ops.AsError(err).Hint == "" {
				t.Error("no hint")
			}
			if err == nil && (b.Size == 0 || len(b.SHA256) != 64 || !strings.HasPrefix(b.Name(), "rbee-"+b.Build())) {
				t.Errorf("got %+v", b)
			}
		})
	}
}

// release packs files into a .tar.gz.
func release(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReleasesAreFetchedAndChecked(t *testing.T) {
	p := Platform{"darwin", "arm64"}
	if own() == p {
		p.OS = "linux"
	}
	archive := "rbee-1.2.3-" + p.OS + "-" + p.Arch + ".tar.gz"
	good := release(t, map[string]string{"README": "x", "rbee": "the binary"})
	sum := func(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
	for _, tt := range []struct {
		name  string
		files map[string]string
		code  ops.Code
		says  string
	}{
		{"a whole one", map[string]string{archive: string(good), "SHA256SUMS": sum(good) + "  " + archive + "\n"}, "", ""},
		{"one that was exchanged", map[string]string{archive: string(good), "SHA256SUMS": sum([]byte("x")) + "  " + archive}, ops.CodeDenied, "SHA256SUMS says"},
		{"one without a sum", map[string]string{archive: string(good), "SHA256SUMS": sum(good) + "  other.tar.gz"}, ops.CodeNotFound, "does not name"},
		{"no sums", map[string]string{archive: string(good)}, ops.CodeUnavailable, "404"},
		{"no archive", map[string]string{"SHA256SUMS": sum(good) + " *" + archive}, ops.CodeUnavailable, "404"},
		{"no rbee in it", map[string]string{
			archive:      string(release(t, map[string]string{"other": "x"})),
			"SHA256SUMS": sum(release(t, map[string]string{"other": "x"})) + "  " + archive,
		}, ops.CodeInternal, "no file rbee"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text, ok := tt.files[filepath.Base(r.URL.Path)]
				if !ok {
					http.NotFound(w, r)
					return
				}
				_, _ = w.Write([]byte(text))
			}))
			defer server.Close()
			defer http.DefaultClient.CloseIdleConnections()
			cache := t.TempDir()
			b, err := Sources{Releases: server.URL + "/", Version: "1.2.3", Cache: cache}.Choose(t.Context(), p)
			if ops.CodeOf(err) != tt.code || (err != nil && !strings.Contains(err.Error(), tt.says)) {
				t.Fatalf("got %v, want %q with %q", err, tt.code, tt.says)
			}
			left, _ := filepath.Glob(filepath.Join(cache, ".*"))
			if len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			if err == nil && b.Size != int64(len("the binary")) {
				t.Errorf("got %+v", b)
			}
		})
	}
}
