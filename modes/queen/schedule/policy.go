package schedule

import (
	"maps"
	"slices"
	"strings"

	"rbee.dev/rbee/ops"
)

// Policy is a way to choose.
type Policy interface {
	// Choose says who does r. It is asked for every request, many times while r
	// waits, and must neither wait itself nor keep v.
	Choose(r *Request, v *View) Choice
}

// PolicyFunc is a function as a [Policy].
type PolicyFunc func(r *Request, v *View) Choice

// Choose is the function itself.
func (f PolicyFunc) Choose(r *Request, v *View) Choice { return f(r, v) }

// Act is what is to be done about a request.
type Act uint8

// What can be done about a request.
const (
	Wait  Act = iota // until something changes
	Use              // the worker at Choice.At
	Start            // a worker at the place at Choice.At
	Claim            // that place: busy workers there finish, get nothing more, and go
)

// Choice is what a policy says.
type Choice struct {
	Act Act
	At  int // index into View.Workers or View.Places()
}

// View is what a policy may look at: the same things in the same order give the
// same choice.
type View struct {
	// Workers are those of the model that r may use, the queen's own machine's
	// first, then by name. Of those that are alike in all that a [Candidate] says,
	// and in engine and device, it is only the first.
	Workers []Candidate
	// Held says that workers enough for those that wait are being started.
	Held bool

	line   *line
	places func() []Place
	found  []Place
}

// Places are where another worker could be started, those with the model on disk
// first; where one of these will do, the others are not looked at.
func (v *View) Places() []Place {
	if v.places != nil {
		v.found, v.places = v.places(), nil
	}
	return v.found
}

// Candidate is a worker of the model.
type Candidate struct {
	Slots  int32  // requests that it runs at once, at least 1
	Taken  int32  // of them
	Warm   int32  // how much of the request's beginning it has answered to lately, as a rank; 0 is nothing
	Barred Reason // why it is out of the question, or 0
	worker *worker
}

// Hive is the name of the worker's hive.
func (c *Candidate) Hive() string { return c.worker.hive.id }

// ID is the worker's id.
func (c *Candidate) ID() string { return c.worker.info.ID }

// load compares the share of the slots that are taken.
func (c *Candidate) load(d *Candidate) int64 {
	return int64(c.Taken)*int64(d.Slots) - int64(d.Taken)*int64(c.Slots)
}

// Place is a hive as somewhere to start a worker.
type Place struct {
	OnDisk bool   // it has the model, and need not get it
	Kept   bool   // a worker comes back there as a person has started it
	Fast   bool   // its accelerators hold all of the model
	Evicts bool   // idle workers have to go
	Yields bool   // it is crowded by workers that have had their share, and the request has waited for its own
	Free   int64  // memory that no worker of the hive's uses, bytes; 0 where nobody knows
	Barred Reason // why it is out of the question, or 0
	hive   *hive
}

// Hive is the hive's name.
func (p *Place) Hive() string { return p.hive.id }

// DefaultPolicy is the name of the policy where none is named.
const DefaultPolicy = "balanced"

// policies are the policies by name.
var policies = map[string]Policy{
	// balanced takes the worker with the smallest share of its slots taken.
	DefaultPolicy: PolicyFunc(func(_ *Request, v *View) Choice { return choose(v, 1) }),
	// packed takes the one with the largest, so that others fall idle and can be
	// unloaded.
	"packed": PolicyFunc(func(_ *Request, v *View) Choice { return choose(v, -1) }),
}

// PolicyNamed returns the policy with that name; "" is [DefaultPolicy].
func PolicyNamed(name string) (Policy, error) {
	if name == "" {
		name = DefaultPolicy
	}
	if p, ok := policies[name]; ok {
		return p, nil
	}
	names := slices.Sorted(maps.Keys(policies))
	return nil, ops.Invalid("policy", "there is no policy %q", name).WithHint("there are: %s", strings.Join(names, ", "))
}

// choose takes a worker that is free: the one with the smallest share of its
// slots taken, or with the sign -1 the largest, then the one that has answered to
// most of the request's beginning, then the one with more slots, then the first.
// Without one it takes a place for another.
func choose(v *View, sign int64) Choice {
	best := -1
	for i := range v.Workers {
		c := &v.Workers[i]
		if c.Barred == 0 && c.Taken < c.Slots && (best < 0 || c.better(&v.Workers[best], sign)) {
			best = i
		}
	}
	if best >= 0 {
		return Choice{Use, best}
	}
	return place(v)
}

func (c *Candidate) better(d *Candidate, sign int64) bool {
	if load := sign * c.load(d); load != 0 {
		return load < 0
	}
	if c.Warm != d.Warm {
		return c.Warm > d.Warm
	}
	return c.Slots > d.Slots
}

// place takes a hive for another worker: one where a person's own comes back, then
// one with the model on disk before one that has to get it, then one whose
// accelerators hold it, then one where nobody has to go, then the one with most
// memory free, then the first. Where there is none it claims one, by the same rule,
// whose busy workers have had their share.
func place(v *View) Choice {
	if v.Held {
		return Choice{}
	}
	places := v.Places()
	if at := bestPlace(places, func(p *Place) bool { return p.Barred == 0 }); at >= 0 {
		return Choice{Start, at}
	}
	if at := bestPlace(places, func(p *Place) bool { return p.Barred == Crowded && p.Yields }); at >= 0 {
		return Choice{Claim, at}
	}
	return Choice{}
}

// bestPlace is the index of the best of the places that may be taken, or -1.
func bestPlace(places []Place, may func(*Place) bool) int {
	best := -1
	for i := range places {
		if p := &places[i]; may(p) && (best < 0 || p.better(&places[best])) {
			best = i
		}
	}
	return best
}

func (p *Place) better(q *Place) bool {
	switch {
	case p.Kept != q.Kept:
		return p.Kept
	case p.OnDisk != q.OnDisk:
		return p.OnDisk
	case p.Fast != q.Fast:
		return p.Fast
	case p.Evicts != q.Evicts:
		return q.Evicts
	}
	return p.Free > q.Free
}
