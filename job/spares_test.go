package job

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/ops"
)

func TestASpareBecomesALogOnce(t *testing.T) {
	s := spares{dir: t.TempDir()}
	path := filepath.Join(s.dir, "one.jsonl")
	if s.take(path) != nil {
		t.Fatal("there is a spare that nobody made")
	}
	s.prepare(1)
	l, err := createLog(path, header{ID: "one"}, 1000, &s)
	if err != nil {
		t.Fatal(err)
	}
	if s.take(filepath.Join(s.dir, "two.jsonl")) != nil {
		t.Error("one spare was taken twice")
	}
	if err := l.settle(); err != nil {
		t.Fatal(err)
	}
	if err := l.settle(); err != nil {
		t.Errorf("a log that has its name: %v", err)
	}
	l.say(t, 3)
	if err := l.leave(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(s.dir)
	if err != nil || len(left) != 1 || left[0].Name() != "one.jsonl" {
		t.Fatalf("the folder holds %v, %v", left, err)
	}
	again, end, err := openLog(path, 1000)
	if err != nil || end != nil {
		t.Fatal(end, err)
	}
	if _, last := again.position(); last != 3 {
		t.Errorf("the log holds %d events", last)
	}
	if err := again.leave(); err != nil {
		t.Fatal(err)
	}
}

func TestALogIsReadAndEndsBeforeItHasItsName(t *testing.T) {
	s := spares{dir: t.TempDir()}
	s.prepare(1)
	path := filepath.Join(s.dir, "one.jsonl")
	l, err := createLog(path, header{ID: "one"}, 1, &s) // which keeps one event in memory
	if err != nil {
		t.Fatal(err)
	}
	l.say(t, 5)
	r, err := l.reader(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	now := time.Now()
	if err := l.end(ops.KindResult, []byte(`{}`), "[DONE]", ending{State: ops.JobCompleted, FinishedAt: &now}); err != nil {
		t.Fatal(err)
	}
	if err := l.settle(); err != nil {
		t.Fatal(err)
	}
	var got []uint64
	for {
		events, err := r.next(t.Context(), time.Minute, nil)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			got = append(got, e.id)
		}
	}
	if diff := cmp.Diff([]uint64{1, 2, 3, 4, 5, 6, 7}, got); diff != "" {
		t.Error(diff)
	}
	if _, end, err := openLog(path, 1); err != nil || end == nil {
		t.Errorf("the log of the finished job tells %v, %v", end, err)
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
			if _, err := f.WriteString("a line"); err != nil {
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
