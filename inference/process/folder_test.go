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

// TestWhoIsKilledLeavesNoTemporaryFolder: whoever has the wanted folder finds the
// other one.
func TestWhoIsKilledLeavesNoTemporaryFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	wanted := filepath.Join(t.TempDir(), "a,b")
	if err := os.Mkdir(wanted, 0o700); err != nil {
		t.Fatal(err)
	}
	gone := func(folder string) {
		t.Helper()
		if _, err := os.Stat(folder); !os.IsNotExist(err) {
			t.Errorf("%s is there: %v", folder, err)
		}
	}
	first, aside, err := Folder(wanted)
	if err != nil || !aside {
		t.Fatalf("%q, %t, %v", first, aside, err)
	}
	if err := os.WriteFile(filepath.Join(first, Socket), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	second, _, err := Folder(wanted) // that of the next one
	if err != nil {
		t.Fatal(err)
	}
	gone(first)
	for range 2 {
		if err := ClearFolder(wanted); err != nil {
			t.Error(err)
		}
		gone(second)
	}
	other := t.TempDir()
	if err := os.Symlink(other, filepath.Join(wanted, elsewhere)); err != nil {
		t.Fatal(err)
	}
	if err := ClearFolder(wanted); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("what is no such folder was cleared away: %v", err)
	}
}
