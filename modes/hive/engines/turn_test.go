package engines

import (
	"strings"
	"sync"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestTwoWhoInstallTheSameDownloadItOnce(t *testing.T) {
	m := newMirror(t, release(map[string][]byte{}, "b6000", map[string][]byte{name1: tarball(t, llama(6000))}))
	s := newStore(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := s.Install(t.Context(), Wanted{Version: "b6000", From: m.URL, Machine: linux, Fetch: quickly()}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := strings.Count(strings.Join(m.asked, " "), name1); n != 1 {
		t.Errorf("it was downloaded %d times", n)
	}
}

// follower is a job's sink that waits for words and for progress.
type follower struct {
	mu   sync.Mutex
	said []string
	done chan int64 // how far it is, at each progress
}

func (*follower) JobID() string                    { return "0123456789abcdef" }
func (*follower) Cursor() ops.Cursor               { return ops.Cursor{} }
func (f *follower) Mark(e ops.Event, _ ops.Cursor) { f.Emit(e) }

func (f *follower) Emit(e ops.Event) {
	switch e := e.(type) {
	case ops.NarrationEvent:
		f.mu.Lock()
		defer f.mu.Unlock()
		f.said = append(f.said, e.Human)
	case ops.ProgressEvent:
		select {
		case f.done <- e.Done:
		default:
		}
	case ops.TokenEvent, ops.ResultEvent, ops.ErrorEvent, ops.EndEvent:
	}
}

// TestWhoWantsWhatIsBeingInstalledFollowsIt: the second hears which it is and how far,
// and has it when the first one does.
func TestWhoWantsWhatIsBeingInstalledFollowsIt(t *testing.T) {
	for name, tt := range map[string]struct{ second, says string }{
		"the same":    {"b6000", "b6000-cpu is being installed already: waiting for it"},
		"another one": {"b7000", "another engine, b6000-cpu, is being installed: waiting for it"},
	} {
		t.Run(name, func(t *testing.T) {
			first := tarball(t, llama(6000))
			files := release(map[string][]byte{}, "b6000", map[string][]byte{name1: first})
			m := newMirror(t, release(files, "b7000", map[string][]byte{strings.Replace(name1, "6000", "7000", 1): tarball(t, llama(7000))}))
			m.held = make(chan struct{})
			s := newStore(t)
			install := func(version string, f *follower) error {
				_, err := s.Install(ops.WithSink(t.Context(), f), Wanted{Version: version, From: m.URL, Machine: linux, Fetch: quickly()})
				return err
			}
			leads, follows := &follower{done: make(chan int64, 1)}, &follower{done: make(chan int64, 1)}
			var all sync.WaitGroup
			all.Go(func() {
				if err := install("b6000", leads); err != nil {
					t.Error(err)
				}
			})
			<-leads.done
			all.Go(func() {
				if err := install(tt.second, follows); err != nil {
					t.Error(err)
				}
			})
			if have := <-follows.done; have <= 0 || have > int64(len(first)) {
				t.Errorf("it is told of %d bytes", have)
			}
			close(m.held)
			all.Wait()
			if said := strings.Join(follows.said, "\n"); !strings.Contains(said, tt.says) || strings.Contains(said, "is here already") != (tt.second == "b6000") {
				t.Errorf("it is told %s", said)
			}
		})
	}
}
