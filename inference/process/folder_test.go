package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAFolderWhoseSocketPathWouldNotDoIsReplaced(t *testing.T) {
	short := "/tmp/rbee"
	long := filepath.Join("/tmp", strings.Repeat("long", 25))
	for _, c := range []struct {
		name, temp, wanted string
		kept               bool
	}{
		{"a short one", "/tmp", short, true},
		{"none", "/tmp", "", false},
		{"one with a comma", "/tmp", "/tmp/bees, and rbee", false},
		{"one with a comma, where temporary ones have it too", filepath.Join(t.TempDir(), "a,b"), "/tmp/a,b", false},
		{"a long one", "/tmp", long, false},
		{"a long one, where temporary ones are long too", filepath.Join(t.TempDir(), strings.Repeat("long", 25)), long, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.MkdirAll(c.temp, 0o700); err != nil {
				t.Fatal(err)
			}
			t.Setenv("TMPDIR", c.temp)
			folder, temporary, err := Folder(c.wanted)
			if err != nil || temporary == c.kept || (folder == c.wanted) != c.kept || !suits(folder) {
				t.Errorf("got %q, %v, %v", folder, temporary, err)
			}
			if !temporary {
				return
			}
			info, err := os.Stat(folder)
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("it is %v, %v", info, err)
			}
			if err := os.Remove(folder); err != nil {
				t.Error(err)
			}
		})
	}
}
