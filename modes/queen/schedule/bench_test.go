package schedule

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
)

// BenchmarkDecision is one choice, and the giving back, among a thousand hives
// with ten workers each: of a hundred models each, or all of one. Then it is what
// one that waits costs at each change: where no worker is left and each hive has
// the model, or none that may be used; and where all workers are taken.
func BenchmarkDecision(b *testing.B) {
	for _, models := range []int{100, 1} {
		b.Run(fmt.Sprintf("%d models", models), func(b *testing.B) {
			s := registry(models, 4, 1000)
			defer s.Close()
			prefixes := Prefixes(make([]byte, 4096))
			i := 0
			for b.Loop() {
				i++
				lease, err := s.Acquire(b.Context(), Request{Job: fmt.Sprint(i), Model: "m0", Client: "c", Prefixes: prefixes})
				if err != nil {
					b.Fatal(err)
				}
				lease.Release()
			}
		})
	}
	b.Run("none free", func(b *testing.B) { again(b, registry(100, 0, 1000), Start) })
	b.Run("none free, others have to get it", func(b *testing.B) {
		s := registry(100, 0, 1)
		s.DrainHive("hive-999", true)
		again(b, s, Start)
	})
	b.Run("all taken", func(b *testing.B) {
		s := registry(1, 1, 1000)
		for range 10_000 {
			if _, err := s.Acquire(b.Context(), Request{Model: "m0"}); err != nil {
				b.Fatal(err)
			}
		}
		again(b, s, Wait)
	})
}

// again decides about the same request over and over, which must come to want.
func again(b *testing.B, s *Scheduler, want Act) {
	defer s.Close()
	l, r := s.lines["m0"], Request{Job: "job", Model: "m0"}
	for b.Loop() {
		s.mu.Lock()
		v := s.view(l, &r)
		v.Held = l.coming(&r) > 0
		c := s.decide(&r, v)
		if c.Act == Wait && s.hopeless(l, &waiter{Request: r}, v) != nil {
			b.Fatal("it need not wait")
		}
		s.mu.Unlock()
		if c.Act != want {
			b.Fatalf("it says %+v", c)
		}
	}
}

// registry is a scheduler that knows a thousand hives with ten workers each of so
// many models, of so many slots; 0 slots are workers that have failed. So many of the
// hives have the models on disk, the last ones.
func registry(models, slots, disks int) *Scheduler {
	s := New(Options{})
	list := make([]ops.Model, models)
	for i := range list {
		list[i] = ops.Model{ID: fmt.Sprint("m", i), Size: 1 << 30}
	}
	for h := range 1000 {
		id := fmt.Sprintf("hive-%03d", h)
		if h == 0 {
			id = ops.LocalHive
		}
		snapshot := ops.HiveSnapshot{Hive: ops.Hive{Devices: []ops.Device{{Kind: "cpu", MemoryBytes: 64 << 30}}}}
		if h >= 1000-disks {
			snapshot.Models = list
		}
		for n := range 10 {
			i := ops.Worker{ID: fmt.Sprint("w", n), Model: fmt.Sprint("m", (h*10+n)%models), State: ops.WorkerReady, Slots: slots}
			if slots == 0 {
				i.State = ops.WorkerFailed
			}
			snapshot.Workers = append(snapshot.Workers, i)
		}
		s.Heard(id, snapshot)
	}
	return s
}

// The simulated farm: three hives with four slots each, under 24 clients whose
// requests take one or a hundred units of time.
const (
	simClients  = 24
	simRequests = 30 // of each client, one after the other
	simUnit     = time.Second
)

// lengths are how long each client's requests take: every fifth a hundred times as
// long as the others, not at the same time for all.
func lengths(client int) []time.Duration {
	list := make([]time.Duration, simRequests)
	for i := range list {
		if list[i] = simUnit; (i+client)%5 == 0 {
			list[i] = 100 * simUnit
		}
	}
	return list
}

// optimum is how long a central scheduler takes that knows all: no client's
// requests can take less than their sum, nor the slots less than all the work.
func optimum() time.Duration {
	var all, longest time.Duration
	for c := range simClients {
		var sum time.Duration
		for _, d := range lengths(c) {
			sum += d
		}
		all, longest = all+sum, max(longest, sum)
	}
	return max(longest, all/12)
}

// simulate runs the clients through the scheduler, in virtual time, and returns
// how long all of it took. What hives say arrives 40 ms late, as it does.
func simulate(t *testing.T) time.Duration {
	d := newDepot(t, Options{})
	defer d.Close()
	for _, id := range []string{"a", "b", "c"} {
		d.add(id, 8<<30, bee)
		d.run(id, "w-"+id, "bee", 4)
	}
	began := time.Now()
	var all sync.WaitGroup
	for c := range simClients {
		all.Go(func() {
			for _, took := range lengths(c) {
				lease, err := d.Acquire(t.Context(), Request{Model: "bee", Client: fmt.Sprint(c)})
				if err != nil {
					t.Error(err)
					return
				}
				d.report(lease.Worker, 1)
				time.Sleep(took)
				d.report(lease.Worker, -1)
				lease.Release()
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	time.Sleep(time.Second) // for the last reports
	return took
}

// report has the worker's hive tell, a moment later, that it runs more or less.
func (d *depot) report(w ops.Worker, by int) {
	time.AfterFunc(40*time.Millisecond, func() {
		d.change(w.HiveID, func(s *ops.HiveSnapshot) {
			at := slices.IndexFunc(s.Workers, func(i ops.Worker) bool { return i.ID == w.ID })
			s.Workers[at].Running += by
		})
	})
}

func TestUnevenRequestsTakeLittleLongerThanTheOptimum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took, best := simulate(t), optimum()
		t.Logf("it took %s, the optimum is %s: %.3f of it", took, best, float64(took)/float64(best))
		if took > best*110/100 {
			t.Errorf("it took %s, over a tenth more than the optimum, %s", took, best)
		}
	})
}
