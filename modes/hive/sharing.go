package hive

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"rbee.dev/rbee/modes/hive/cores"
	"rbee.dev/rbee/ops"
)

// sharing gives workers that compute at the same time cores of their own. One
// that computes alone has all of them, so a worker is started with a thread for
// each core, and only where it may run changes. It is used by one goroutine.
type sharing struct {
	cores cores.Cores
	bind  func(pid int, cpus []int) error
	given map[string]given // by worker; one that is not here has all cores
}

// given is the CPUs that a worker has, and the processes that were bound.
type given struct{ cpus, pids []int }

// share shares the cores out anew among the workers, by what they do now.
func (s *sharing) share(members []*member) error {
	var computing []*member
	for _, m := range members {
		if m.computes() {
			computing = append(computing, m)
		}
	}
	slices.SortFunc(computing, func(a, b *member) int { return strings.Compare(a.id, b.id) })
	shares := s.cores.Share(len(computing))
	alive := map[string]bool{}
	var errs []error
	for _, m := range members {
		if m.dead() {
			continue
		}
		alive[m.id] = true
		cpus := s.cores.CPUs()
		if i := slices.Index(computing, m); i >= 0 {
			cpus = shares[i]
		}
		errs = append(errs, s.give(m, cpus))
	}
	for id := range s.given {
		if !alive[id] {
			delete(s.given, id)
		}
	}
	return errors.Join(errs...)
}

// give binds a worker's processes to CPUs, unless they are.
func (s *sharing) give(m *member, cpus []int) error {
	g, ok := s.given[m.id]
	if !ok && len(cpus) == len(s.cores.CPUs()) || slices.Equal(g.cpus, cpus) || len(cpus) == 0 {
		return nil
	}
	err := os.ErrProcessDone
	if ok {
		err = s.bindAll(g.pids, cpus)
	}
	if errors.Is(err, os.ErrProcessDone) { // the engine was started again, or is not known yet
		g.pids = m.computers()
		err = s.bindAll(g.pids, cpus)
	}
	g.cpus = cpus
	s.given[m.id] = g
	if errors.Is(err, os.ErrProcessDone) {
		return nil // the next change tells
	}
	return err
}

func (s *sharing) bindAll(pids, cpus []int) error {
	for _, pid := range pids {
		if err := s.bind(pid, cpus); err != nil {
			return err
		}
	}
	return nil
}

// computes reports whether the worker computes on the CPU now. One that was told
// by flags where to run is left alone.
func (m *member) computes() bool {
	i := m.tell()
	for _, f := range m.want.flags {
		if strings.HasPrefix(strings.TrimLeft(f, "-"), "cpu-") {
			return false
		}
	}
	return !m.dead() && !strings.Contains(i.Device, ":") && (i.State == ops.WorkerLoading || i.Running > 0)
}

// computers are the worker's processes that compute: the engine's program, or
// the worker itself where the engine is in it.
func (m *member) computers() []int {
	i := m.tell()
	pids := family(i.PID)
	if i.Engine != builtin && len(pids) > 1 {
		return pids[1:]
	}
	return pids
}

// shareEvery is the least time from one sharing to the next: requests come and go
// faster than it is worth to follow.
const shareEvery = 20 * time.Millisecond

// sharingOut shares the cores out after each change until ctx ends.
func (h *Hive) sharingOut(ctx context.Context) {
	s := &sharing{cores: h.Cores, bind: cores.Bind, given: map[string]given{}}
	if len(s.cores.List) < 2 {
		return
	}
	var said string
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.moved:
		}
		if err := s.share(h.fleet.all()); err != nil && err.Error() != said {
			said = err.Error()
			h.Log.Warn().Err(err).Msg("the cores cannot be shared out")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(shareEvery):
		}
	}
}
