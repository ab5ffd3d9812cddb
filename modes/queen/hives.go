package queen

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// hive is one that the queen can reach: on its own machine, or through SSH.
type hive interface {
	// ensure returns when the hive answers, or with why it does not.
	ensure(ctx context.Context) error
	// jobs is the client for operations; it outlasts a lost connection.
	jobs() *transport.Client
	// direct is the client that speaks to the hive as it is now.
	direct() *transport.Client
	// Close gives the connections up and waits for what belongs to them.
	Close()
}

var (
	_ hive = (*localHive)(nil)
	_ hive = (*remoteHive)(nil)
)

// hives is the hives there are, each with the goroutine that watches it.
type hives struct {
	mu  sync.Mutex
	all map[string]*watched
}

type watched struct {
	hive
	end  context.CancelFunc
	over chan struct{} // closed when the watch has ended
}

// add takes a hive in and watches it until it is removed.
func (s *hives) add(ctx context.Context, id string, h hive, watch func(context.Context)) {
	ctx, end := context.WithCancel(ctx)
	w := &watched{hive: h, end: end, over: make(chan struct{})}
	s.mu.Lock()
	if s.all == nil {
		s.all = map[string]*watched{}
	}
	s.all[id] = w
	s.mu.Unlock()
	go func() {
		defer close(w.over)
		watch(ctx)
	}()
}

// get returns hive id, or nil.
func (s *hives) get(id string) hive {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.all[id]; w != nil {
		return w.hive
	}
	return nil
}

// remote returns the hive behind SSH called id, or nil.
func (s *hives) remote(id string) *remoteHive {
	r, _ := s.get(id).(*remoteHive)
	return r
}

// remove gives a hive up and waits for its watch to end.
func (s *hives) remove(id string) {
	s.mu.Lock()
	w := s.all[id]
	delete(s.all, id)
	s.mu.Unlock()
	if w != nil {
		w.close()
	}
}

// close gives all hives up.
func (s *hives) close() {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.all))
	s.all = nil
	s.mu.Unlock()
	var closing sync.WaitGroup
	for _, w := range all {
		closing.Go(w.close)
	}
	closing.Wait()
}

func (w *watched) close() {
	w.end()
	w.Close()
	<-w.over
}

// reach returns the hive called id. One whose state stream stands is up and is
// not asked first, which would cost each job a round trip; a hive that died this
// moment is noticed by whoever speaks to it next.
func (q *Queen) reach(ctx context.Context, id string) (hive, error) {
	h := q.hives.get(id)
	if h == nil {
		return nil, ops.Errorf(ops.CodeUnavailable, "the hive %s is being removed, or the queen stops", id)
	}
	if _, up := q.books.snapshot(id); up {
		return h, nil
	}
	err := h.ensure(ctx)
	if err != nil && ctx.Err() == nil && id == ops.LocalHive && !q.local.isStopped() {
		q.books.stays(id, whyDown(err)) // of another one its watch tells why
	}
	return h, err
}

// errStopped is in the chain of the error of a hive that somebody has stopped: it is
// not there again by itself.
var errStopped = errors.New("is stopped")

func stopped(id string) error {
	start := "rbee hive start"
	if id != ops.LocalHive {
		start += " " + id
	}
	return ops.Errorf(ops.CodeUnavailable, "the hive %s %w", id, errStopped).WithHint("`%s` starts it", start)
}

// remoteness puts the queen's own machine before the others.
func remoteness(id string) int {
	if id == ops.LocalHive {
		return 0
	}
	return 1
}
