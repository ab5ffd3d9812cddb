package job

import (
	"os"
	"path/filepath"
	"testing"
)

func TestASpareBecomesALogOnce(t *testing.T) {
	s := spare{dir: t.TempDir()}
	path := filepath.Join(s.dir, "one.jsonl")
	if s.take(path) != nil {
		t.Fatal("there is a spare that nobody made")
	}
	s.prepare()
	s.prepare()
	f := s.take(path)
	if f == nil {
		t.Fatal("there is no spare")
	}
	if _, err := f.WriteString("a line\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "a line\n" {
		t.Errorf("the log holds %q, %v", text, err)
	}
	if s.take(filepath.Join(s.dir, "two.jsonl")) != nil {
		t.Error("one spare was taken twice")
	}
}

func TestASpareReplacesNothing(t *testing.T) {
	s := spare{dir: t.TempDir()}
	path := filepath.Join(s.dir, "one.jsonl")
	if err := os.WriteFile(path, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.prepare()
	if s.take(path) != nil {
		t.Error("the spare took the name of a file that is there")
	}
	s.drop()
	if text, err := os.ReadFile(path); err != nil || string(text) != "kept" {
		t.Errorf("the file holds %q, %v", text, err)
	}
	if left, err := os.ReadDir(s.dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestWithoutAFolderThereIsNoSpare(t *testing.T) {
	s := spare{dir: filepath.Join(t.TempDir(), "gone")}
	s.prepare()
	if s.take(filepath.Join(s.dir, "one.jsonl")) != nil {
		t.Error("there is a spare in a folder that is not there")
	}
	s.drop()
}
