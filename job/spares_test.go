package job

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestASpareBecomesALogOnce(t *testing.T) {
	s := spares{dir: t.TempDir()}
	path := filepath.Join(s.dir, "one.jsonl")
	if s.take(path) != nil {
		t.Fatal("there is a spare that nobody made")
	}
	s.prepare(1)
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
	s := spares{dir: t.TempDir()}
	path := filepath.Join(s.dir, "one.jsonl")
	if err := os.WriteFile(path, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.prepare(1)
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
	s := spares{dir: filepath.Join(t.TempDir(), "gone")}
	s.prepare(1)
	if s.take(filepath.Join(s.dir, "one.jsonl")) != nil {
		t.Error("there is a spare in a folder that is not there")
	}
	s.drop()
}

func TestSparesAreKeptForAsManyJobsAsMayBeginTogether(t *testing.T) {
	s := spares{dir: t.TempDir()}
	s.prepare(2 * maxSpares)
	for round := range 3 { // whose names must not meet those of the rounds before
		for i := range maxSpares {
			f := s.take(filepath.Join(s.dir, fmt.Sprintf("%d-%d.jsonl", round, i)))
			if f == nil {
				t.Fatalf("round %d: the spare number %d is not there", round, i)
			}
			if _, err := f.WriteString(f.Name()); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			s.prepare(1)
		}
	}
	s.drop()
	left, err := os.ReadDir(s.dir)
	if err != nil || len(left) != 3*maxSpares {
		t.Fatalf("%d files are left, %v", len(left), err)
	}
	for _, file := range left {
		if info, err := file.Info(); err != nil || info.Size() == 0 {
			t.Errorf("%s was emptied: %v", file.Name(), err)
		}
	}
}
