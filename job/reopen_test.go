package job

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"rbee.dev/rbee/ops"
)

// written returns the bytes of a log with n tokens, each marked with where it
// came from, with its end or without.
func written(t testing.TB, n int, ended bool) []byte {
	t.Helper()
	l := newLog(t, 1)
	for i := range n {
		at := ops.Cursor{Target: "w", JobID: "there", Last: uint64(i + 1)}
		if i%3 == 1 { // a place without an event
			if err := l.note(at); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.append(ops.KindToken, []byte(`{"text":"t`+string(rune('1'+i))+`"}`), &at); err != nil {
			t.Fatal(err)
		}
	}
	if ended {
		l.conclude(t)
	}
	text, err := os.ReadFile(l.path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// reopened opens a log that holds text.
func reopened(t testing.TB, text []byte) (*eventLog, *ending) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	l, end, err := openLog(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.leave() })
	return l, end
}

func TestALogCutOffAnywhereGoesOn(t *testing.T) {
	const n = 7
	text := written(t, n, true)
	first := bytes.IndexByte(text, '\n') + 1
	for cut := first; cut < len(text); cut++ {
		l, end := reopened(t, text[:cut])
		if end != nil {
			t.Fatalf("cut at byte %d of %d it has ended", cut, len(text))
		}
		cursor, last := l.position()
		if last > n || cursor.Last < last || cursor.Last > last+1 {
			t.Fatalf("cut at byte %d it is at event %d and cursor %+v", cut, last, cursor)
		}
		l.say(t, n-int(last))
		l.conclude(t)
		got := l.pull(t, 0)
		if err := numbered(got, 1, true); err != nil || len(got) != n+2 {
			t.Fatalf("cut at byte %d: %d events, %v", cut, len(got), err)
		}
	}
}

func TestALogThatHasEndedStaysAsItIs(t *testing.T) {
	text := written(t, 5, true)
	l, end := reopened(t, text)
	if end == nil || end.State != ops.JobCompleted || l.last != 7 {
		t.Fatalf("end %+v, newest event %d", end, l.last)
	}
	if err := l.append(ops.KindToken, []byte("{}"), nil); err == nil {
		t.Error("it takes another event")
	}
	if err := numbered(l.pull(t, 0), 1, true); err != nil {
		t.Error(err)
	}
	after, err := os.ReadFile(l.path)
	if err != nil || !bytes.Equal(after, text) {
		t.Errorf("the file has changed, %v", err)
	}
}

func TestWhatIsBehindABrokenLineIsCutOff(t *testing.T) {
	text := written(t, 6, false)
	lines := bytes.SplitAfter(text, []byte("\n"))
	lines[4] = append(bytes.Repeat([]byte{0}, len(lines[4])-1), '\n') // as a power failure may leave it
	l, end := reopened(t, bytes.Join(lines, nil))
	if end != nil {
		t.Fatalf("end %+v", end)
	}
	if err := l.leave(); err != nil {
		t.Fatal(err)
	}
	if err := numbered(l.pull(t, 0), 1, false); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(l.path); err != nil || info.Size() != l.whole {
		t.Errorf("the file has %v bytes, %v, want %d", info, err, l.whole)
	}
}

// FuzzOpenLog opens a log with any bytes behind its first line: what it makes of
// them must be a log that can be read and goes on.
func FuzzOpenLog(f *testing.F) {
	f.Add([]byte{})
	for _, ended := range []bool{false, true} {
		_, lines, _ := bytes.Cut(written(f, 5, ended), []byte("\n"))
		f.Add(lines)
	}
	f.Add([]byte("{\"id\":1,\"kind\":\"token\",\"data\":{}}\n{\"id\":3,\"end\":{\"finished_at\":\"2026-01-01T00:00:00Z\"}}\n"))
	f.Add([]byte("{\"id\":1,\"kind\":\"\",\"data\":{}}\n{\"cursor\":null}\n"))
	path := filepath.Join(f.TempDir(), "log")
	f.Fuzz(func(t *testing.T, text []byte) {
		text = append([]byte("{}\n"), text...)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		l, end, err := openLog(path, 1)
		if err != nil {
			return
		}
		defer func() { _ = l.leave() }()
		if end != nil {
			return // what it says is believed, events are looked at by who reads them
		}
		before := l.last
		if err := l.append(ops.KindToken, []byte("{}"), nil); err != nil {
			t.Fatal(err)
		}
		l.conclude(t)
		l.pull(t, 0)
		got := l.pull(t, before)
		if len(got) != 3 || got[0].id != before+1 || got[2].kind != ops.KindEnd {
			t.Errorf("behind event %d come %v", before, got)
		}
	})
}
