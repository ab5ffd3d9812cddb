package queen

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// ModelCopy has a hive get a model from another one. The hive that gets it does
// the work, as it downloads from elsewhere; the queen carries the bytes (see
// serveWants).
func (q *Queen) ModelCopy(ctx context.Context, o ops.ModelCopy) (ops.Model, error) {
	to, err := q.hive(o.To)
	if err != nil {
		return ops.Model{}, field(err, "to")
	}
	o.Model = q.carried(o)
	from, err := q.having(ctx, o, to)
	if err != nil {
		return ops.Model{}, err
	}
	h, err := q.reach(ctx, to)
	if err != nil {
		return ops.Model{}, err
	}
	raw, err := transport.Forward(ctx, h.jobs(), to, fromHive(from, o.Model, to, o.ID))
	if err != nil {
		return ops.Model{}, err
	}
	var m ops.Model
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, fmt.Errorf("read what hive %s says of the copy: %w", to, err)
	}
	return m, nil
}

// carried is the own name of the model to copy, which may be called by another one.
func (q *Queen) carried(o ops.ModelCopy) string {
	name := q.meant(o.Model)
	if !ops.IsModelReference(name) {
		return name
	}
	models := slices.DeleteFunc(q.books.models(), func(m ops.Model) bool {
		return m.Error != "" || !m.ComesFrom(name) || o.From != "" && m.HiveID != o.From || o.From == "" && m.HiveID == o.To
	})
	if len(models) == 0 {
		return o.Model
	}
	return slices.MinFunc(models, likelier).ID
}

// fromHive is the operation by which a hive gets another one's model.
func fromHive(from, model, to, as string) ops.ModelDownload {
	return ops.ModelDownload{OnHive: ops.OnHive{HiveID: to}, Model: ops.HiveScheme + from + "/" + model, ID: as}
}

func field(err error, name string) error {
	e := ops.AsError(err)
	e.Field = name
	return e
}

// having is the hive to copy from: the one that was named, or one that has the
// model. It must be up, which the local one becomes.
func (q *Queen) having(ctx context.Context, o ops.ModelCopy, to string) (string, error) {
	have := q.whoHas(ctx, o.Model)
	from := o.From
	if from == "" {
		have = slices.DeleteFunc(have, func(id string) bool { return id == to })
		if len(have) == 0 {
			if err := q.books.unusable(o.Model, to); err != nil {
				return "", err
			}
			e := ops.Errorf(ops.CodeNotFound, "no other hive that is up has a model %q", o.Model)
			e.Field = "model"
			return "", e.WithHint("`rbee model list` shows which hives have which")
		}
		return have[0], nil
	}
	from, err := q.hive(from)
	if err != nil {
		return "", field(err, "from")
	}
	_, err = q.reach(ctx, from)
	return from, err
}

// unusable is the error of a model that hives have, others than the one called except,
// and that cannot be used there, as one that is being downloaded; nil where none has it.
func (b *books) unusable(model, except string) error {
	list := slices.DeleteFunc(b.models(), func(m ops.Model) bool {
		return m.Error == "" || m.HiveID == except || m.ID != model && m.ID != model+".gguf"
	})
	if len(list) == 0 {
		return nil
	}
	m := slices.MinFunc(list, likelier)
	e := ops.Errorf(ops.CodeNotFound, "the model %s on %s cannot be used: %s", m.ID, m.HiveID, m.Error)
	e.Field = "model"
	return e.WithHint("%s", m.Hint)
}

// bringModel sees that a hive has a model, where another one has it and this one
// does not, which refuses it where the worker that needs it would have no room there.
// Where none has it, it does nothing: whoever needs it says so. It is one step of the
// context's job, which goes on with it after a restart.
// further, where it is not nil, is asked too before, with the bytes that the worker and
// its parts take.
func (q *Queen) bringModel(ctx context.Context, hive string, worker ops.WorkerSpawn, further func(bytes uint64) error) error {
	have, err := q.lacking(ctx, hive, worker.Model)
	if err != nil || len(have) == 0 {
		return err
	}
	h, err := q.reach(ctx, hive)
	if err != nil {
		return err
	}
	takes, err := q.wouldFit(ctx, h, hive, have[0], worker)
	if err == nil && takes > 0 && further != nil {
		err = further(takes)
	}
	if err != nil {
		return err
	}
	model, sink := worker.Model, ops.SinkOf(ctx)
	ops.Narrate(ctx, "model_bring", "%s is on hive %s and not on hive %s: bringing it there", model, have[0], hive)
	_, err = transport.ForwardAs(ctx, h.jobs(), hive, fromHive(have[0], model, hive, model), bringID(sink))
	return err
}

// lacking lists the hives from which the job of ctx has to bring a model to one that
// has not got it.
func (q *Queen) lacking(ctx context.Context, hive, model string) (from []string, err error) {
	sink := ops.SinkOf(ctx)
	have := q.whoHas(ctx, model)
	if model == "" || sink == nil || len(have) == 0 || slices.Contains(have, hive) {
		return nil, nil
	}
	if at := sink.Cursor(); at.Target == hive && at.JobID != "" && at.JobID == sink.JobID() {
		return nil, nil // the job was further there already
	}
	snapshot, err := q.probe(ctx, hive, look{}) // what is in the books may be old
	if err != nil || slices.ContainsFunc(snapshot.Models, func(m ops.Model) bool { return m.ID == model }) {
		return nil, err
	}
	return have, nil
}

// wouldFit is how many bytes the worker takes on a hive, whose model is on the one
// called from, or the error of one that has no room for it: before it is carried there.
// 0 is not known, as from a hive of an older build.
func (q *Queen) wouldFit(ctx context.Context, h hive, id, from string, worker ops.WorkerSpawn) (uint64, error) {
	models := q.books.models()
	i := slices.IndexFunc(models, func(m ops.Model) bool { return m.HiveID == from && m.ID == worker.Model })
	if i < 0 || worker.Engine == "command" {
		return 0, nil
	}
	worker.WouldFit, worker.RoomOnly, worker.Coming = true, false, &models[i]
	room, err := transport.Call(ctx, h.jobs(), ops.On(worker, id).(ops.WorkerSpawn))
	if ops.CodeOf(err) == ops.CodeInvalid && (ops.AsError(err).Field == "would_fit" || ops.AsError(err).Field == "coming") {
		return 0, nil
	}
	return room.PartBytes, err
}

// bringID is the id of the job by which a hive gets a model for the job of sink.
func bringID(sink ops.Sink) string {
	id := sink.JobID()
	if id == "" { // none that survives a restart
		return rand.Text()
	}
	return id[:min(len(id), 64-len(ops.ForModel))] + ops.ForModel
}

// whoHas is the books' with, of a model too that a person has just put into the
// folder of this machine's hive.
func (q *Queen) whoHas(ctx context.Context, model string) []string {
	have := q.books.with(model)
	if len(have) == 0 && model != "" && (fleet{q}).JustPut(ctx, model) {
		have = q.books.with(model)
	}
	return have
}

// with lists the hives that are up and have a model that can be used, the queen's
// own first.
func (b *books) with(model string) []string {
	usable := func(m ops.Model) bool { return m.ID == model && m.Error == "" }
	return b.whose(func(s ops.HiveSnapshot) bool { return slices.ContainsFunc(s.Models, usable) })
}

// whose lists the hives that are up and say what is wanted, the queen's own first.
func (b *books) whose(wanted func(ops.HiveSnapshot) bool) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []string
	for id, e := range b.hives {
		if e.state == ops.HiveUp && wanted(e.snapshot) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		switch {
		case a == ops.LocalHive:
			return -1
		case b == ops.LocalHive:
			return 1
		}
		return strings.Compare(a, b)
	})
	return ids
}
