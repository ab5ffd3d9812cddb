package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/ops"
)

// newLog returns a log in a folder of its own.
func newLog(t testing.TB, tailBytes int) *eventLog {
	t.Helper()
	head := header{ID: "the-job-of-the-test", Operation: "infer", Op: json.RawMessage(`{"operation":"infer"}`)}
	l, err := createLog(filepath.Join(t.TempDir(), head.ID+logSuffix), head, tailBytes, &spares{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.leave() })
	return l
}

// say appends n tokens, which are numbered by their ids.
func (l *eventLog) say(t testing.TB, n int) {
	t.Helper()
	for range n {
		_, last := l.position()
		if err := l.append(ops.KindToken, fmt.Appendf(nil, `{"text":"t%d"}`, last+1), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// conclude ends the log with a result.
func (l *eventLog) conclude(t testing.TB) {
	t.Helper()
	now := time.Now().UTC()
	if err := l.end(ops.KindResult, []byte(`"done"`), "[DONE]", ending{State: ops.JobCompleted, FinishedAt: &now}); err != nil {
		t.Fatal(err)
	}
}

// pull reads up to the end, or to what there is of a log that was left.
func (l *eventLog) pull(t testing.TB, after uint64) []event {
	t.Helper()
	r, err := l.reader(after)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []event
	for {
		events, err := r.next(t.Context(), time.Hour, func() error { return nil })
		if errors.Is(err, io.EOF) || errors.Is(err, errLeft) {
			return all
		}
		if err != nil {
			t.Error(err)
			return all
		}
		all = append(all, events...)
	}
}

// numbered checks that events are the tokens from first on, and then, of a log
// that has ended, the result and the end.
func numbered(events []event, first uint64, ended bool) error {
	for i, e := range events {
		id := first + uint64(i)
		want := event{id, ops.KindToken, fmt.Appendf(nil, `{"text":"t%d"}`, id)}
		if ended && i == len(events)-2 {
			want = event{id, ops.KindResult, []byte(`"done"`)}
		}
		if ended && i == len(events)-1 {
			want = event{id, ops.KindEnd, []byte("[DONE]")}
		}
		if diff := cmp.Diff(want, e, cmp.AllowUnexported(event{})); diff != "" {
			return fmt.Errorf("event %d (-want +got):\n%s", i, diff)
		}
	}
	return nil
}

func TestReadersAtTheFilesEdgeLoseNothing(t *testing.T) {
	const n = 1000
	l := newLog(t, 1) // memory holds one event, so readers read what was just written
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			if err := numbered(l.pull(t, 0), 1, true); err != nil {
				t.Error(err)
			}
		})
	}
	l.say(t, n)
	l.conclude(t)
	readers.Wait()
	if got := l.pull(t, n-1); len(got) != 3 {
		t.Errorf("behind event %d there are %v, want three events", n-1, got)
	}
}

func TestMemoryHoldsTheNewestEventsOnly(t *testing.T) {
	const most = 10 << 10
	l := newLog(t, most)
	l.say(t, 5000)
	size := 0
	for _, e := range l.tail {
		size += e.size()
	}
	if size != l.size || size > most || len(l.tail) < 10 {
		t.Errorf("memory holds %d events of %d bytes, counted as %d, want at most %d", len(l.tail), size, l.size, most)
	}
	if err := numbered(l.tail, 5001-uint64(len(l.tail)), false); err != nil {
		t.Error(err)
	}
}

func TestAnEventLargerThanTheTailIsReadOnce(t *testing.T) {
	l := newLog(t, 100)
	big := []byte(`"` + strings.Repeat("x", 100<<10) + `"`)
	for range 3 {
		if err := l.append(ops.KindToken, big, nil); err != nil {
			t.Fatal(err)
		}
	}
	l.conclude(t)
	got := l.pull(t, 0)
	if len(got) != 5 {
		t.Fatalf("%d events, want 5", len(got))
	}
	for i, e := range got[:3] {
		if e.id != uint64(i+1) || string(e.data) != string(big) {
			t.Errorf("event %d has id %d and %d bytes", i+1, e.id, len(e.data))
		}
	}
}

func TestTheEndIsReadFromMemoryByThoseWhoAreThere(t *testing.T) {
	l := newLog(t, 64<<10)
	l.say(t, 10)
	r, err := l.reader(10)
	if err != nil {
		t.Fatal(err)
	}
	l.conclude(t)
	if err := os.Remove(l.path); err != nil { // so that reading the file would fail
		t.Fatal(err)
	}
	events, err := r.next(t.Context(), time.Hour, nil)
	if err != nil || len(events) != 2 || string(events[1].data) != "[DONE]" {
		t.Errorf("next() = %v, %v, want result and end", events, err)
	}
	r.Close()
	if l.tail != nil || l.file != nil {
		t.Errorf("a log that has ended holds %d events and the file %v once its reader has left", len(l.tail), l.file)
	}
}

func TestAReaderHoldsTheFileOpenOnlyWhileItIsBehind(t *testing.T) {
	l := newLog(t, 1)
	l.say(t, 100)
	r, err := l.reader(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for round := range 3 {
		for r.after < l.last {
			if _, err := r.next(t.Context(), time.Hour, nil); err != nil {
				t.Fatal(err)
			}
		}
		if r.file != nil {
			t.Errorf("round %d: the reader has caught up and holds the file", round)
		}
		before := r.offset
		l.say(t, 100)
		if _, err := r.next(t.Context(), time.Hour, nil); err != nil {
			t.Fatal(err)
		}
		if before == 0 || r.offset <= before {
			t.Errorf("round %d: the reader goes on at byte %d of the file, was at %d", round, r.offset, before)
		}
	}
}

func TestAWaitingReaderLeavesWithItsContext(t *testing.T) {
	l := newLog(t, 1)
	r, err := l.reader(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	if _, err := r.next(ctx, time.Nanosecond, func() error { cancel(gone); return nil }); !errors.Is(err, gone) {
		t.Errorf("next() = %v, want the cause of the context", err)
	}
	idle := errors.New("idle")
	if _, err := r.next(t.Context(), time.Nanosecond, func() error { return idle }); !errors.Is(err, idle) {
		t.Errorf("next() = %v, want the error of the beat", err)
	}
}

func TestALogThatLostEventsIsNotReadAsEnded(t *testing.T) {
	l := newLog(t, 1)
	l.say(t, 50)
	if err := os.Truncate(l.path, l.whole/2); err != nil {
		t.Fatal(err)
	}
	r, err := l.reader(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if events, err := r.next(t.Context(), time.Hour, nil); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("next() = %d events, %v, want an error that is not the end", len(events), err)
	}
}

func TestLineID(t *testing.T) {
	for line, want := range map[string]uint64{
		`{"id":12,"kind":"token"}`:    12,
		`{"id":3}`:                    3,
		`{"cursor":{"last":1}}`:       0,
		`{"id":`:                      0,
		`{"id":-1,`:                   0,
		``:                            0,
		`{"id":99999999999999999999}`: 0,
	} {
		if got := lineID([]byte(line)); got != want {
			t.Errorf("lineID(%s) = %d, want %d", line, got, want)
		}
	}
}
