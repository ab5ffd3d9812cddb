package engines

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

// thing is an entry of an archive that a test makes.
type thing struct {
	name, text, link string
	mode             fs.FileMode // 0 is 0644
	kind             byte        // of a tar entry, where it is an odd one
}

func (x thing) fileMode() fs.FileMode {
	mode := x.mode
	if mode == 0 {
		mode = 0o644
	}
	if x.link != "" {
		mode |= fs.ModeSymlink
	}
	return mode
}

// tarball makes a .tar.gz of things.
func tarball(t *testing.T, things []thing) []byte {
	t.Helper()
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	w := tar.NewWriter(packed)
	for _, x := range things {
		h := &tar.Header{Name: x.name, Mode: int64(x.fileMode().Perm()), Size: int64(len(x.text)), Linkname: x.link, Typeflag: tar.TypeReg}
		switch {
		case x.kind != 0:
			h.Typeflag, h.Size = x.kind, 0
		case x.link != "":
			h.Typeflag = tar.TypeSymlink
		case strings.HasSuffix(x.name, "/"):
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(x.text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// zipped makes a .zip of things.
func zipped(t *testing.T, things []thing) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, x := range things {
		h := &zip.FileHeader{Name: x.name, Method: zip.Deflate}
		h.SetMode(x.fileMode())
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(x.text + x.link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// archived is things as a file of each kind.
func archived(t *testing.T, things []thing) map[string]string {
	t.Helper()
	files := map[string]string{}
	for kind, data := range map[string][]byte{".tar.gz": tarball(t, things), ".zip": zipped(t, things)} {
		path := filepath.Join(t.TempDir(), "x"+kind)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		files[kind] = path
	}
	return files
}

func TestAnArchiveIsUnpacked(t *testing.T) {
	things := []thing{
		{name: "llama-b1/"},
		{name: "./llama-b1/llama-server", text: "program", mode: 0o4755},
		{name: "llama-b1/libllama.so.0.0.1", text: "library"},
		{name: "llama-b1/libllama.so.0", link: "libllama.so.0.0.1"},
		{name: "llama-b1/sub/dir/x", text: strings.Repeat("x", 100_000)},
		{name: "llama-b1/sub/up", link: "../libllama.so.0"},
	}
	for kind, file := range archived(t, things) {
		t.Run(kind, func(t *testing.T) {
			folder := t.TempDir()
			if err := unpack(t.Context(), file, folder, false, 1<<20); err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{"llama-server": "program", "libllama.so.0": "library", "sub/up": "library"} {
				if text, err := os.ReadFile(filepath.Join(folder, "llama-b1", name)); err != nil || string(text) != want {
					t.Errorf("%s is %q, %v", name, text, err)
				}
			}
			info, err := os.Stat(filepath.Join(folder, "llama-b1", "llama-server"))
			if err != nil || info.Mode() != 0o700 {
				t.Errorf("the program is %v, %v", info.Mode(), err)
			}
			flat := t.TempDir()
			if err := unpack(t.Context(), file, flat, true, 1<<20); err == nil || !strings.Contains(err.Error(), "outside") {
				t.Errorf("without its folders a link leads elsewhere: %v", err)
			}
		})
	}
}

func TestAHostileArchiveIsRefused(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	for _, c := range []struct {
		name, says string
		things     []thing
	}{
		{"a parent", "leads out of it", []thing{{name: "../evil", text: "x"}}},
		{"a parent on the way", "leads out of it", []thing{{name: "a/../../evil", text: "x"}}},
		{"a parent that comes back", "leads out of it", []thing{{name: "a/../evil", text: "x"}}},
		{"an absolute name", "leads out of it", []thing{{name: outside, text: "x"}}},
		{"a name of another system", "leads out of it", []thing{{name: `..\evil`, text: "x"}}},
		{"a link to a parent", "outside", []thing{{name: "l", link: "../../etc"}}},
		{"an absolute link", "outside", []thing{{name: "l", link: "/etc/passwd"}}},
		{"through a link", "l/b", []thing{{name: "a/b"}, {name: "l", link: "a"}, {name: "l/b", text: "x"}}},
		{"the same name twice", "exists", []thing{{name: "a", text: "x"}, {name: "a", text: "y"}}},
		{"over a link", "exists", []thing{{name: "b", text: "x"}, {name: "a", link: "b"}, {name: "a", text: "y"}}},
		{"too much", "unpacks to more", []thing{{name: "a", text: strings.Repeat("0", 2<<20)}}},
		{"too much in all", "unpacks to more", []thing{{name: "a", text: strings.Repeat("0", 600_000)}, {name: "b", text: strings.Repeat("0", 600_000)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for kind, file := range archived(t, c.things) {
				folder := filepath.Join(t.TempDir(), "deep", "folder")
				if err := os.MkdirAll(folder, 0o700); err != nil {
					t.Fatal(err)
				}
				err := unpack(t.Context(), file, folder, false, 1<<20)
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%s: got %v", kind, err)
				}
				for _, evil := range []string{filepath.Join(folder, "../evil"), filepath.Join(folder, "../../evil"), outside} {
					if _, err := os.Lstat(evil); err == nil {
						t.Errorf("%s: it wrote %s", kind, evil)
					}
				}
			}
		})
	}
}

func TestOddEntriesAreRefused(t *testing.T) {
	for name, kind := range map[string]byte{"a hard link": tar.TypeLink, "a device": tar.TypeChar, "a pipe": tar.TypeFifo} {
		file := filepath.Join(t.TempDir(), "x.tar.gz")
		if err := os.WriteFile(file, tarball(t, []thing{{name: "odd", kind: kind, link: "/etc/passwd"}}), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := unpack(t.Context(), file, t.TempDir(), false, 1<<20); err == nil || !strings.Contains(err.Error(), `"odd" is`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestADamagedArchiveIsRefused(t *testing.T) {
	whole := tarball(t, []thing{{name: "a", text: strings.Repeat("abc", 10_000)}})
	for name, data := range map[string][]byte{"x.tar.gz": whole[:len(whole)/2], "y.tar.gz": []byte("no"), "z.zip": []byte("PK\x03\x04no")} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if unpack(t.Context(), file, t.TempDir(), false, 1<<20) == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestUnpackingStopsWhenNobodyWaits(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ops.Errorf(ops.CodeCancelled, "enough"))
	for kind, file := range archived(t, []thing{{name: "a", text: "x"}}) {
		if err := unpack(ctx, file, t.TempDir(), false, 1<<20); ops.CodeOf(err) != ops.CodeCancelled {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// FuzzUnpack holds that nothing is written outside of the folder, whatever an
// archive's names are.
func FuzzUnpack(f *testing.F) {
	f.Add("a/../../b", "../x", "l/b")
	f.Add("/etc/x", "/etc", "l")
	f.Add("l", "..", "l/evil")
	f.Fuzz(func(t *testing.T, name, link, through string) {
		if strings.ContainsRune(name+link+through, 0) || name == "" || through == "" || len(name+link+through) > 300 {
			return // no archive can name it
		}
		top := t.TempDir()
		folder := filepath.Join(top, "in")
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "x.zip")
		if err := os.WriteFile(file, zipped(t, []thing{{name: "l", link: link}, {name: name, text: "x"}, {name: through, text: "x"}}), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = unpack(t.Context(), file, folder, false, 1<<20)
		if list, err := os.ReadDir(top); err != nil || len(list) != 1 {
			t.Errorf("beside the folder there is %v, %v", list, err)
		}
	})
}
