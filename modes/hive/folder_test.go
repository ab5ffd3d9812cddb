package hive

import (
	"os"
	"path/filepath"
	"testing"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

func TestADownloadMakesTheModelsFolderAgain(t *testing.T) {
	m := newModels(t)
	file := filepath.Join(t.TempDir(), "a.gguf")
	if err := os.WriteFile(file, testdata.Tinybee(), 0o600); err != nil {
		t.Fatal(err)
	}
	m.put(t, "old/a.gguf", testdata.Tinybee())
	if err := os.RemoveAll(m.dir); err != nil {
		t.Fatal(err)
	}
	if list := m.list(); len(list) != 0 {
		t.Errorf("there are %+v", list)
	}
	if got, err := m.download(t.Context(), file, "new"); err != nil || got.ID != "new" || got.Error != "" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if list := m.list(); len(list) != 1 || list[0].ID != "new" {
		t.Errorf("there are %+v", list)
	}
	if err := m.pin("new", true); err != nil || !m.pinned("new") {
		t.Errorf("it cannot be pinned: %v", err)
	}
	if err := m.remove("new"); err != nil {
		t.Errorf("it cannot be deleted: %v", err)
	}
}

func TestWhatIsInTheModelsFoldersPlaceIsRefusedWithWhatToDo(t *testing.T) {
	for name, put := range map[string]func(string) error{
		"a file":            func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
		"a link to nothing": func(dir string) error { return os.Symlink(dir+"-gone", dir) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "models")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			m, err := openModels(dir, "localhost")
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close() //nolint:errcheck // nothing was written
			file := filepath.Join(t.TempDir(), "a.gguf")
			if err := os.WriteFile(file, testdata.Tinybee(), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
			if err := put(dir); err != nil {
				t.Fatal(err)
			}
			_, err = m.download(t.Context(), file, "new")
			wantCode(t, err, ops.CodeUnavailable, "make the models' folder again", "see that "+dir+" is a folder")
			_, err = m.get("new")
			wantCode(t, err, ops.CodeNotFound)
		})
	}
}
