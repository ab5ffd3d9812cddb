package queen

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// route does a hive operation: lists of all hives are merged, what may run
// anywhere goes where the scheduler chooses, the rest to the hive it names.
func (q *Queen) route(ctx context.Context, o ops.HiveOp) (any, error) {
	if o, ok := o.(ops.WorkerSpawn); ok {
		switch {
		case o.PartOf != "":
			return nil, ops.Invalid("part_of", "is for the queen to set: name the hives in hives")
		case o.RoomOnly:
			return nil, ops.Invalid("room_only", "is for the queen to set")
		case o.WouldFit:
			return nil, ops.Invalid("would_fit", "is for the queen to set")
		}
		return q.spawnKept(ctx, o)
	}
	switch o := o.(type) {
	case ops.WorkerList:
		if o.HiveID == "" {
			return q.workers(ctx), nil
		}
	case ops.ModelList:
		if o.HiveID == "" {
			return q.models(ctx), nil
		}
	case ops.EngineList:
		if o.HiveID == "" {
			return q.engines(ctx), nil
		}
	case ops.Infer:
		return q.assign(ctx, o)
	}
	id, err := q.asked(cmp.Or(o.Hive(), q.hiveOf(o)))
	if err != nil {
		return nil, err
	}
	if o, ok := o.(ops.WorkerDelete); ok {
		result, err := q.deleteWorker(ctx, id, o)
		return result, q.tellWhere(err, id, o)
	}
	result, err := q.forward(ctx, id, o)
	if err == nil && o.Hive() == "" {
		q.tellPinned(ctx, id, o)
	}
	return result, q.tellWhere(err, id, o)
}

// hiveOf is the hive of the worker that an operation is about, where it is known,
// or "".
func (q *Queen) hiveOf(o ops.HiveOp) string {
	id, _ := ops.WorkerNamed(o)
	for _, w := range q.books.workers() {
		if id != "" && w.ID == id {
			return w.HiveID
		}
	}
	return ""
}

// tellPinned says which hives have the model otherwise than the one that a pin, or
// its end, which names no hive, was for.
func (q *Queen) tellPinned(ctx context.Context, hive string, o ops.HiveOp) {
	var model, told string
	switch o := o.(type) {
	case ops.ModelPin:
		model, told = o.ID, "it is pinned on %s alone; %s has it too, not pinned (add --hive %s)"
	case ops.ModelUnpin:
		model, told = o.ID, "it is no longer pinned on %s; on %s it still is (add --hive %s)"
	default:
		return
	}
	_, pin := o.(ops.ModelPin)
	others := slices.DeleteFunc(q.books.whose(func(s ops.HiveSnapshot) bool {
		return slices.ContainsFunc(s.Models, func(m ops.Model) bool { return m.ID == model && m.Pinned != pin })
	}), func(id string) bool { return id == hive })
	if len(others) > 0 {
		ops.Narrate(ctx, "model_pin", told, hive, strings.Join(others, " and "), others[0])
	}
}

// tellWhere adds to an error of a hive, that it has no such worker or model, on
// which hives there is one.
func (q *Queen) tellWhere(err error, hive string, o ops.HiveOp) error {
	if ops.CodeOf(err) != ops.CodeNotFound {
		return err
	}
	switch o.(type) {
	case ops.WorkerGet, ops.WorkerDelete, ops.ModelGet, ops.ModelDelete, ops.ModelPin, ops.ModelUnpin:
	default:
		return err
	}
	worker, _ := ops.WorkerNamed(o)
	model := ops.ModelNamed(o)
	if other, ok := q.aliases.get()[model]; ok {
		return ops.AsError(err).WithHint("it is an alias: name its model, %s", other)
	}
	has := func(s ops.HiveSnapshot) bool {
		return slices.ContainsFunc(s.Workers, func(w ops.Worker) bool { return w.ID == worker }) ||
			slices.ContainsFunc(s.Models, func(m ops.Model) bool { return m.ID == model })
	}
	others := slices.DeleteFunc(q.books.whose(has), func(id string) bool { return id == hive })
	if len(others) == 0 {
		return err
	}
	e := *ops.AsError(err)
	e.Message += "; it is on " + strings.Join(others, " and ")
	return e.WithHint("add --hive %s", others[0])
}

// orElsewhere adds to the error of a hive that has no such device, where none was
// named, which others have it.
func (q *Queen) orElsewhere(o ops.HiveOp, err error) error {
	e := ops.AsError(err)
	device := workerOf(o).Device
	if e == nil || e.Code != ops.CodeNotFound || e.Field != "device" || o.Hive() != "" || device == "" {
		return err
	}
	have := q.books.whose(func(s ops.HiveSnapshot) bool { return hasDevices(s, device) })
	switch {
	case len(have) > 0:
		return e.WithHint("it is on %s: add --hive %s", strings.Join(have, " and "), have[0])
	case len(q.books.ids()) > 1:
		return e.WithHint("%s; no other hive that is up has it either", e.Hint)
	}
	return err
}

// modelOf is the model that an operation wants of a hive, or "".
func modelOf(o ops.HiveOp) string {
	switch o := o.(type) {
	case ops.Infer:
		return o.Model
	case ops.WorkerSpawn:
		return o.Model
	case ops.ModelGet:
		return o.ID
	}
	return ""
}

func (q *Queen) forward(ctx context.Context, id string, o ops.HiveOp) (any, error) {
	h, err := q.reach(ctx, id)
	if err != nil {
		return nil, err
	}
	return transport.Forward(ctx, h.jobs(), id, ops.On(o, id))
}

// listWithin bounds how long a list waits for one hive.
const listWithin = 3 * time.Second

// workers lists the workers of all hives, of those that do not answer as they were.
func (q *Queen) workers(ctx context.Context) ops.Workers {
	all := ops.Workers{Workers: []ops.Worker{}}
	parts, silent := everywhere(ctx, q, func(id string) ops.Returning[ops.Workers] {
		return ops.WorkerList{OnHive: ops.OnHive{HiveID: id}}
	}, func(id string) ops.Workers { return ops.Workers{Workers: q.workersOf(id)} })
	for _, part := range parts {
		all.Workers = append(all.Workers, part.Workers...)
	}
	all.Silent = silent
	return all
}

// models lists the models of all hives, of those that are down too.
func (q *Queen) models(ctx context.Context) ops.Models {
	all := ops.Models{Models: []ops.Model{}}
	parts, silent := everywhere(ctx, q, func(id string) ops.Returning[ops.Models] {
		return ops.ModelList{OnHive: ops.OnHive{HiveID: id}}
	}, func(id string) ops.Models {
		s, _ := q.books.snapshot(id)
		return ops.Models{Models: s.Models}
	})
	for _, part := range parts {
		all.Models = append(all.Models, part.Models...)
	}
	all.Silent = silent
	return all
}

// engines lists the engines of all hives that answer.
func (q *Queen) engines(ctx context.Context) ops.Engines {
	all := ops.Engines{Engines: []ops.Engine{}}
	parts, silent := everywhere(ctx, q, func(id string) ops.Returning[ops.Engines] {
		return ops.EngineList{OnHive: ops.OnHive{HiveID: id}}
	}, func(string) ops.Engines { return ops.Engines{} })
	for _, part := range parts {
		all.Engines = append(all.Engines, part.Engines...)
	}
	all.Silent = silent
	return all
}

// everywhere asks every hive that is up, all at once, and the local one in any
// case, since it can be started. For a hive that is down or slow it tells what
// is known, and the hive is among the silent ones. The answers are in the order of
// the hives' names.
func everywhere[R any](ctx context.Context, q *Queen, o func(id string) ops.Returning[R], known func(id string) R) (parts []R, silent []string) {
	ids := q.books.ids()
	slices.Sort(ids)
	parts, answered := make([]R, len(ids)), make([]bool, len(ids))
	var asking sync.WaitGroup
	for i, id := range ids {
		asking.Go(func() {
			var err error
			if _, up := q.books.snapshot(id); up || id == ops.LocalHive {
				if parts[i], err = ask(ctx, q, id, o(id)); err == nil {
					answered[i] = true
					return
				}
				ops.Warn(ctx, "hive_silent", "%s; of it the list has what it said last", advice(err))
			}
			parts[i] = known(id)
		})
	}
	asking.Wait()
	for i, id := range ids {
		if !answered[i] {
			silent = append(silent, id)
		}
	}
	return parts, silent
}

// advice is an error with what to do about it.
func advice(err error) string {
	e := ops.AsError(err)
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + " (" + e.Hint + ")"
}

// ask does o on hive id as a job of its own: a job of the queen's that asks
// several hives is not one that is forwarded.
func ask[R any](ctx context.Context, q *Queen, id string, o ops.Returning[R]) (R, error) {
	var none R
	if id != ops.LocalHive { // which may have to start first
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, listWithin)
		defer cancel()
	}
	h, err := q.reach(ctx, id)
	if err != nil {
		return none, err
	}
	return transport.Call(ctx, h.jobs(), o)
}

// look says which look at its devices a hive's answer waits for.
type look struct {
	Anew  bool `json:"refresh_capabilities"`
	First bool `json:"devices"` // the one that the hive starts with
}

// probe asks hive id for its devices and state anew.
func (q *Queen) probe(ctx context.Context, id string, waits look) (ops.HiveSnapshot, error) {
	var snapshot ops.HiveSnapshot
	h, err := q.reach(ctx, id)
	if err != nil {
		return snapshot, err
	}
	if err := h.ensure(ctx); err != nil {
		return snapshot, err
	}
	err = h.direct().Post(ctx, "/v1/probe", waits, &snapshot)
	return snapshot, err
}
