package queen

import (
	"context"
	"fmt"
	"net"
	"path"
	"slices"
	"time"

	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/modes/queen/gateway"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// fleet is the queen's hives, as the gateway sees them.
type fleet struct{ *Queen }

var _ gateway.Fleet = fleet{}

// Workers lists the workers of hives that are up, but for those that hold a part
// of another one's model.
func (f fleet) Workers() []ops.Worker {
	return slices.DeleteFunc(f.books.workers(), func(w ops.Worker) bool { return w.PartOf != "" })
}

// Models lists the models of hives that are up. The local hive is started first
// where it does not run; without it there would be none on a fresh machine.
func (f fleet) Models(ctx context.Context) []ops.Model {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if _, up := f.books.snapshot(ops.LocalHive); !up && f.local.ensure(ctx) == nil {
		for _, up = f.books.snapshot(ops.LocalHive); !up && ctx.Err() == nil; _, up = f.books.snapshot(ops.LocalHive) {
			pause(ctx, loadingLook)
		}
	}
	list := f.books.models()
	for i, m := range list {
		list[i].Aliases = f.called(m)
	}
	return list
}

// Dial connects to a worker's socket, the hive not in between.
func (f fleet) Dial(ctx context.Context, hive, worker string) (net.Conn, error) {
	if err := ops.CheckModelID(worker); err != nil { // it becomes part of a path, as a model's name does
		return nil, err
	}
	if hive == ops.LocalHive {
		return transport.Unix(path.Join(f.Home.Worker(worker), home.WorkerSocket)).DialContext(ctx, "", "")
	}
	h := f.hives.remote(hive)
	if h == nil {
		return nil, ops.Errorf(ops.CodeUnavailable, "the hive %s is being removed", hive)
	}
	return h.link.DialContext(ctx, path.Join(h.now().Site.State, "workers", worker, home.WorkerSocket))
}

// Start starts a worker where the model suits best. One that is loading it
// already is waited for.
func (f fleet) Start(ctx context.Context, model string) (ops.Worker, error) {
	ctx = ops.As(ctx, "queen")
	if w, ok := f.loading(ctx, model); ok {
		return w, nil
	}
	id := f.choose(ctx, model)
	h, err := f.reach(ctx, id)
	if err != nil {
		return ops.Worker{}, err
	}
	w, err := transport.Call(ctx, h.jobs(), ops.WorkerSpawn{OnHive: ops.OnHive{HiveID: id}, Model: model})
	if err == nil {
		f.listed(ctx, w)
	}
	return w, err
}

// listed waits until the books have a worker that was started: the next request
// would start another one. The job's end and the hive's state come by different
// ways.
func (f fleet) listed(ctx context.Context, w ops.Worker) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for ctx.Err() == nil {
		for _, known := range f.books.workers() {
			if known.ID == w.ID && known.State != ops.WorkerLoading {
				return
			}
		}
		pause(ctx, loadingLook)
	}
}

// loadingLook is how often something that comes up is looked at. What hives say
// arrives by itself; this only bounds how late it is seen.
const loadingLook = 5 * time.Millisecond

// loading waits for a worker that is loading the model. Without one it returns
// false at once: a ready one has just failed a request, and may be dead without
// being known to be.
func (f fleet) loading(ctx context.Context, model string) (ops.Worker, bool) {
	find := func(id string) (ops.Worker, bool) {
		for _, w := range f.Workers() {
			if w.ID == id || id == "" && w.Model == model && w.State == ops.WorkerLoading {
				return w, true
			}
		}
		return ops.Worker{}, false
	}
	w, ok := find("")
	if ok {
		ops.Narrate(ctx, "worker_wait", "worker %s is loading %s on hive %s", w.ID, model, w.HiveID)
	}
	for ok && w.State == ops.WorkerLoading && ctx.Err() == nil {
		pause(ctx, loadingLook)
		w, ok = find(w.ID)
	}
	return w, ok && (w.State == ops.WorkerReady || w.State == ops.WorkerBusy)
}

// serveGateway mounts OpenAI's API on the queen's server.
func (q *Queen) serveGateway() {
	q.gateway = gateway.New(fleet{q})
	for _, r := range gateway.Routes {
		q.access.Inference(r.Method + " " + r.Path)
		q.jobs.Mount(r.Method, r.Path, q.gateway)
	}
	q.Log.Info().Str("url", fmt.Sprintf("%s://%s/v1", q.scheme(), q.address)).Msg("OpenAI's API is served")
}
