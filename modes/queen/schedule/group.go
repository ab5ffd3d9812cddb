package schedule

import (
	"cmp"
	"slices"
)

// kind is what workers of a model differ in, for a policy.
type kind struct {
	slots, taken   int32
	barred         Reason
	engine, device string
}

// group are the workers of a line that are of one kind. They take each other's
// place, so that a choice among many workers looks at few.
type group struct {
	kind
	workers []*worker // by place and name
}

// compareWorkers puts those of the queen's own machine first, and the others by
// their hives and names.
func compareWorkers(a, b *worker) int {
	if a.hive != b.hive {
		return compareHives(a.hive, b.hive)
	}
	return cmp.Compare(a.info.ID, b.info.ID)
}

// insert puts a worker into a list at its place.
func insert(list []*worker, w *worker) []*worker {
	at, _ := slices.BinarySearchFunc(list, w, compareWorkers)
	return slices.Insert(list, at, w)
}

// remove takes a worker out of such a list.
func remove(list []*worker, w *worker) []*worker {
	if at, there := slices.BinarySearchFunc(list, w, compareWorkers); there {
		return slices.Delete(list, at, at+1)
	}
	return list
}

// regroup has the worker be among those of that kind.
func (l *line) regroup(w *worker, k kind) {
	if w.group != nil && w.group.kind == k {
		return
	}
	l.ungroup(w)
	at := slices.IndexFunc(l.groups, func(g *group) bool { return g.kind == k })
	if at < 0 {
		at = len(l.groups)
		l.groups = append(l.groups, &group{kind: k})
	}
	w.group = l.groups[at]
	w.group.workers = insert(w.group.workers, w)
}

// ungroup takes the worker out of its group, which goes with its last one.
func (l *line) ungroup(w *worker) {
	g := w.group
	if g == nil {
		return
	}
	w.group = nil
	if g.workers = remove(g.workers, w); len(g.workers) == 0 {
		l.groups = slices.DeleteFunc(l.groups, func(x *group) bool { return x == g })
	}
}

// first is the first of the group that r may use, whose prompt cache knows nothing of
// it, and which does not lack its route; or nil.
func (g *group) first(r *Request) *worker {
	if !r.fits(g.engine, g.device) {
		return nil
	}
	list := g.workers
	if r.Hive != "" {
		at, _ := slices.BinarySearchFunc(list, &hive{id: r.Hive}, func(w *worker, h *hive) int { return compareHives(w.hive, h) })
		list = list[at:]
	}
	for _, w := range list {
		if r.Hive != "" && w.hive.id != r.Hive {
			return nil
		}
		if w.warm == 0 && !r.Without[w.key()] && !w.lacksFor(r) {
			return w
		}
	}
	return nil
}

// candidate is the worker as a policy sees it.
func (w *worker) candidate() Candidate {
	return Candidate{Slots: w.group.slots, Taken: w.group.taken, Warm: w.warm, Barred: w.group.barred, worker: w}
}

func (w *worker) key() Key { return Key{w.hive.id, w.info.ID} }
