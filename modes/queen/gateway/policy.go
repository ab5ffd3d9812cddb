package gateway

import (
	"cmp"

	"rbee.dev/rbee/ops"
)

// candidate is a worker that may take a request, with what the gateway itself
// has given it.
type candidate struct {
	ops.Worker
	given int // requests of this gateway that it has not finished
}

// load is the share of its slots that are taken; above 1 requests wait. The
// worker's own count is older than the gateway's but knows of others' requests.
func (c candidate) load() float64 {
	return float64(max(c.given, c.Running)) / float64(max(c.Slots, 1))
}

// choose picks the worker for a request for model ("" takes any): of those that
// are ready, or busy and so queue, the one with the smallest share of its slots
// taken, then the one with more of them free, then the one on the queen's own
// machine, then by name, so that the same state gives the same choice.
func choose(all []candidate, model string) (best candidate, ok bool) {
	for _, c := range all {
		if c.State != ops.WorkerReady && c.State != ops.WorkerBusy || model != "" && c.Model != model {
			continue
		}
		if !ok || compare(c, best) < 0 {
			best, ok = c, true
		}
	}
	return best, ok
}

func compare(a, b candidate) int {
	return cmp.Or(
		cmp.Compare(a.load(), b.load()),
		cmp.Compare(b.Slots, a.Slots),
		cmp.Compare(away(a), away(b)),
		cmp.Compare(a.HiveID, b.HiveID),
		cmp.Compare(a.ID, b.ID),
	)
}

func away(c candidate) int {
	if c.HiveID == ops.LocalHive {
		return 0
	}
	return 1
}
