package job

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/ops"
)

// speaker is a coalescer with the list it lets events into, locked as a job is.
type speaker struct {
	mu sync.Mutex
	coalescer
	said []string
}

func (s *speaker) write(e ops.Event, at *ops.Cursor) {
	p := e.(ops.ProgressEvent)
	text := fmt.Sprintf("%s %d", p.Action, p.Done)
	if at != nil {
		text += fmt.Sprintf(" at %d", at.Last)
	}
	s.said = append(s.said, text)
}

func (s *speaker) progress(action string, done int64, at *ops.Cursor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := ops.ProgressEvent{Action: action, Done: done}
	if !s.hold(p, at, s.flush) {
		s.write(p, at)
	}
}

func (s *speaker) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(s.write)
}

func (s *speaker) check(t *testing.T, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(want, s.said); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
}

func TestProgressIsSaidAtMostEveryTenthOfASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s speaker
		for i := range int64(250) { // for a quarter of a second
			s.progress("load", i, nil)
			time.Sleep(time.Millisecond)
		}
		s.flush()
		if len(s.said) != 4 || s.said[0] != "load 0" || s.said[3] != "load 249" {
			t.Errorf("said %v, want the first, two more and the last", s.said)
		}
	})
}

func TestTheLastProgressIsSaidThoughNothingFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s speaker
		s.progress("load", 1, nil)
		s.progress("load", 2, nil)
		s.progress("load", 3, nil)
		s.check(t, "load 1")
		time.Sleep(every)
		synctest.Wait()
		s.check(t, "load 1", "load 3")
	})
}

func TestEachActionHasItsOwnProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s speaker
		s.progress("load", 1, nil)
		s.progress("download", 1, nil)
		s.progress("load", 2, nil)
		s.progress("download", 2, nil)
		s.progress("load", 3, nil)
		s.flush()
		s.check(t, "load 1", "download 1", "download 2", "load 3")
	})
}

func TestHeldProgressKeepsItsNewestPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s speaker
		for i := range int64(4) {
			s.progress("load", i, &ops.Cursor{Last: uint64(i + 1)})
		}
		s.flush()
		s.check(t, "load 0 at 1", "load 3 at 4")
	})
}
