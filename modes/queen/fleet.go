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
	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// fleet is the queen's hives, as the gateway and the scheduler see them.
type fleet struct{ *Queen }

var (
	_ gateway.Fleet  = fleet{}
	_ schedule.Fleet = fleet{}
)

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
	if _, up := f.books.snapshot(ops.LocalHive); !up {
		err := f.local.ensure(ctx)
		for ; err == nil && !up && ctx.Err() == nil; _, up = f.books.snapshot(ops.LocalHive) {
			pause(ctx, loadingLook)
		}
		if err != nil && ctx.Err() == nil {
			f.books.lost(ops.LocalHive, whyDown(err))
		}
	}
	list := f.books.models()
	for i, m := range list {
		list[i].Aliases = f.called(m)
	}
	return list
}

// JustPut reports whether the hive of this machine has the model, or for "" any, by now,
// though it has not said so yet, and takes in what it has.
func (f fleet) JustPut(ctx context.Context, model string) bool {
	if _, up := f.books.snapshot(ops.LocalHive); !up {
		return false
	}
	snapshot, err := f.probe(ctx, ops.LocalHive, look{})
	if err != nil || !slices.ContainsFunc(snapshot.Models, func(m ops.Model) bool { return model == "" || m.ID == model }) {
		return false // that it is not known is what is told
	}
	f.note(ops.LocalHive, snapshot)
	return true
}

// HasCard reports whether a hive has a GPU that models go to by themselves.
func (f fleet) HasCard(hive string) bool {
	snapshot, _ := f.books.snapshot(hive)
	return len(ops.Accelerators(snapshot.Hive.Devices)) > 0
}

// Unload ends a worker that has nothing to do; its hive sees to that.
func (f fleet) Unload(ctx context.Context, w ops.Worker) error {
	h, err := f.reach(ctx, w.HiveID)
	if err != nil {
		return err
	}
	_, err = transport.Call(ctx, h.jobs(), ops.WorkerDelete{OnHive: ops.OnHive{HiveID: w.HiveID}, ID: w.ID, IfIdle: true})
	return err
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

// Wake starts the local hive where it does not run.
func (f fleet) Wake(ctx context.Context) { f.Models(ops.As(ctx, "queen")) }

// Start starts a worker on the hive of p, which gets the model first where it has
// not got it.
func (f fleet) Start(ctx context.Context, p schedule.Plan) (ops.Worker, error) {
	ctx = ops.As(ctx, "queen")
	if p.As != nil {
		return f.startAgain(ctx, p)
	}
	if p.Engine == "command" {
		return ops.Worker{}, ops.Errorf(ops.CodeUnavailable, "no worker runs %s by a command line", p.Model).
			WithHint("`rbee worker spawn %s --engine command --command …` starts one", p.Model)
	}
	h, err := f.reach(ctx, p.Hive)
	if err != nil {
		return ops.Worker{}, err
	}
	o := ops.WorkerSpawn{OnHive: ops.OnHive{HiveID: p.Hive}, Model: p.Model, Engine: p.Engine, Device: p.Device}
	var w ops.Worker
	if err = f.get(ctx, h, p); err == nil {
		w, err = transport.Call(ctx, h.jobs(), o)
	}
	if err != nil && ops.CodeOf(err) != ops.CodeBusy { // of that, who asks hears nothing: there will be room
		err = f.orDivided(ctx, p.Hive, o, err)
	}
	return w, err
}

// get brings the model of p to its hive, where that has not got it.
func (f fleet) get(ctx context.Context, h hive, p schedule.Plan) error {
	switch {
	case !p.Get:
		return nil
	case p.From != "":
		return f.bringModel(ctx, p.Hive, ops.WorkerSpawn{Model: p.Model, Engine: p.Engine, Device: p.Device}, nil)
	}
	ops.Narrate(ctx, "model_get", "the hive %s gets %s from %s", p.Hive, p.Model, p.Source)
	_, err := transport.Call(ctx, h.jobs(), ops.ModelDownload{OnHive: ops.OnHive{HiveID: p.Hive}, Model: p.Source, ID: p.Model})
	return err
}

// loadingLook is how often a hive that comes up is looked for. What hives say
// arrives by itself; this only bounds how late it is seen.
const loadingLook = 5 * time.Millisecond

// serveGateway mounts OpenAI's API on the queen's server.
func (q *Queen) serveGateway() {
	for _, r := range gateway.Routes {
		q.access.Inference(r.Method + " " + r.Path)
		q.jobs.Mount(r.Method, r.Path, q.gateway)
	}
	q.Log.Info().Str("url", fmt.Sprintf("%s://%s/v1", q.scheme(), q.address)).Msg("OpenAI's API is served")
}
