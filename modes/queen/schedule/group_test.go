package schedule

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"rbee.dev/rbee/ops"
)

// TestAChoiceAmongGroupsIsTheOneAmongAll holds the few workers that a policy sees
// against all that there are, in fleets made by chance while requests come and go.
func TestAChoiceAmongGroupsIsTheOneAmongAll(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			chance := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's
			d := crowd(t, chance)
			defer d.Close()
			var leases []*Lease
			for range 200 {
				r := asksFor(chance, d)
				for name, policy := range policies {
					d.sameChoice(name, policy, &r)
				}
				if lease, w, _ := d.enter(&r, true); lease != nil {
					leases = append(leases, lease)
				} else if w != nil {
					d.leave(w, context.Canceled)
				}
				if len(leases) > 0 && chance.IntN(3) == 0 {
					at := chance.IntN(len(leases))
					leases[at].Release()
					leases = append(leases[:at], leases[at+1:]...)
				}
			}
		})
	}
}

// crowd is a depot of a few hives with workers of all sorts.
func crowd(t *testing.T, chance *rand.Rand) *depot {
	d := newDepot(t, Options{})
	for h := range 6 {
		id := fmt.Sprint("h", h)
		d.add(id, 1<<20, bee) // no room for another
		for n := range chance.IntN(8) {
			d.place(ops.Worker{
				ID: fmt.Sprint("w", n), HiveID: id, Model: "bee", Slots: 1 + chance.IntN(3), Running: chance.IntN(2),
				State:  []ops.WorkerState{ops.WorkerReady, ops.WorkerReady, ops.WorkerReady, ops.WorkerLoading, ops.WorkerFailed}[chance.IntN(5)],
				Engine: []string{"builtin", "llamacpp"}[chance.IntN(2)], Device: "cpu",
			})
		}
	}
	d.run("h0", "first", "bee", 4)
	return d
}

// asksFor is a request that wants one thing or another.
func asksFor(chance *rand.Rand, d *depot) Request {
	r := Request{Model: "bee", Prefixes: Prefixes(fmt.Appendf(nil, "%300d", chance.IntN(4)))}
	if chance.IntN(4) == 0 {
		r.Hive = fmt.Sprint("h", chance.IntN(6))
	}
	if chance.IntN(4) == 0 {
		r.Engine = "llamacpp"
	}
	if workers := d.lines["bee"].workers; chance.IntN(3) == 0 {
		r.Without = map[Key]bool{workers[0].key(): true, workers[chance.IntN(len(workers))].key(): true}
	}
	return r
}

// sameChoice checks that the policy chooses of the few as it does of all.
func (d *depot) sameChoice(name string, policy Policy, r *Request) {
	d.t.Helper()
	l := d.lines["bee"]
	few := d.view(l, r)
	all := &View{Held: true}
	for _, w := range d.warmth.mark(l, r.Prefixes) {
		defer func() { w.warm = 0 }()
	}
	for _, w := range l.workers {
		c := w.candidate()
		r.bar(&c)
		all.Workers = append(all.Workers, c)
	}
	few.Held = true
	got, want := policy.Choose(r, few), policy.Choose(r, all)
	if got.Act != want.Act {
		d.t.Fatalf("%s says %+v of the few, %+v of all", name, got, want)
	}
	if got.Act == Use && few.Workers[got.At] != all.Workers[want.At] {
		d.t.Fatalf("%s takes %+v of the few, %+v of all", name, few.Workers[got.At], all.Workers[want.At])
	}
}

func TestManyThatAreAlikeAreOneToAPolicy(t *testing.T) {
	s := registry(1, 4, 1000)
	defer s.Close()
	r := Request{Job: "job", Model: "m0"}
	if v := s.view(s.lines["m0"], &r); len(v.Workers) != 1 {
		t.Errorf("a policy sees %d workers", len(v.Workers))
	}
	lease, err := s.Acquire(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if v := s.view(s.lines["m0"], &r); len(v.Workers) != 2 {
		t.Errorf("with one slot taken, a policy sees %d workers", len(v.Workers))
	}
	lease.Release()
	x, err := s.Explain("job")
	if err != nil {
		t.Fatal(err)
	}
	if d := x.Decisions[0]; len(d.Workers) != keptSeen || d.Omitted != 10_000-keptSeen || !d.Workers[0].Chosen || d.Workers[1].WorkerID != "w1" {
		t.Errorf("it is explained by %d workers, and %d more: %+v", len(d.Workers), d.Omitted, d.Workers[:2])
	}
}
