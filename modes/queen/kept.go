package queen

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// A worker to which a person has given settings, or a command line, comes back with
// them when it was unloaded or has ended by itself, until that person ends it, or
// spawns another one of the model there.

// spawnKept starts a worker that a person asks for, and remembers how.
func (q *Queen) spawnKept(ctx context.Context, o ops.WorkerSpawn) (any, error) {
	start := q.spawn
	if len(o.Hives) > 0 {
		start = q.spawnSplit
	}
	result, err := start(ctx, o)
	if err != nil {
		return nil, err
	}
	w, err := readAs[ops.Worker](result)
	if err != nil {
		return nil, err
	}
	o.Model = w.Model
	q.awaitBooks(ctx, func() bool { _, there := q.worker(split{hive: w.HiveID, id: w.ID}); return there }) // who spawned it may ask for it now
	return result, q.keep(ctx, o, w)
}

// keep remembers how a worker was started, where that was with settings of its own.
// One without takes the place of one that has ended.
func (q *Queen) keep(ctx context.Context, o ops.WorkerSpawn, w ops.Worker) error {
	ctx = context.WithoutCancel(ctx) // the worker is there
	if settings(o) == "" {
		if _, lives, ok := q.schedule.Kept(w.HiveID, w.Model); !ok || lives {
			return nil
		}
		return q.unkeep(ctx, w.HiveID, w.Model)
	}
	o.HiveID = w.HiveID
	k := schedule.Kept{Worker: w.ID, Spawn: o}
	if err := q.store.SaveKept(ctx, w.HiveID, w.Model, k); err != nil {
		return err
	}
	q.schedule.Keep(w.HiveID, w.Model, k)
	return nil
}

// unkeep has the model's next worker on the hive be one as usual.
func (q *Queen) unkeep(ctx context.Context, hive, model string) error {
	if err := q.store.ForgetKept(ctx, hive, model); err != nil {
		return err
	}
	q.schedule.Unkeep(hive, model)
	return nil
}

// ended forgets how a worker was started that a person has ended.
func (q *Queen) ended(ctx context.Context, hive, worker string) error {
	for model, k := range q.schedule.AllKept(hive) {
		if k.Worker == worker {
			return q.unkeep(ctx, hive, model)
		}
	}
	return nil
}

// startAgain starts a worker as a person has started the one that was there.
func (f fleet) startAgain(ctx context.Context, p schedule.Plan) (w ops.Worker, err error) {
	o := *p.As
	ops.Narrate(ctx, "worker_again", "%s comes back on %s as it was started there: %s", p.Model, p.Hive, settings(o))
	if len(o.Hives) > 0 {
		var result any
		if result, err = f.spawnSplit(ops.WithSink(ctx, renamed{ops.SinkOf(ctx), rand.Text()}), o); err == nil {
			w, err = readAs[ops.Worker](result)
		}
	} else {
		var h hive
		if h, err = f.reach(ctx, p.Hive); err == nil {
			w, err = transport.Call(ctx, h.jobs(), o)
		}
	}
	if err != nil {
		return w, usualInstead(err, p)
	}
	return w, f.keep(ctx, o, w)
}

// usualInstead adds to the error of a worker that does not come back as it was how
// the model is had without its settings.
func usualInstead(err error, p schedule.Plan) error {
	e, ok := errors.AsType[*ops.Error](err)
	if !ok || e.Code == ops.CodeBusy || e.Code == ops.CodeCancelled {
		return err
	}
	usual := fmt.Sprintf("`rbee worker spawn %s --hive %s` has it run as usual from now on", p.Model, p.Hive)
	if e.Hint != "" {
		usual = e.Hint + "; " + usual
	}
	return e.WithHint("%s", usual)
}

// renamed is a sink of another job's name: what is started for it is named after that.
type renamed struct {
	ops.Sink
	job string
}

// JobID is that name.
func (r renamed) JobID() string { return r.job }

// settings are those that a worker is to be started with, as they are typed, or "".
// What a command line says is left out: any client may read this.
func settings(o ops.WorkerSpawn) string {
	var words []string
	add := func(flag, value string) {
		if value != "" && value != "0" && value != "auto" {
			words = append(words, "--"+flag+" "+value)
		}
	}
	add("engine", o.Engine)
	add("device", o.Device)
	add("parallel", strconv.Itoa(o.Parallel))
	add("context-length", strconv.Itoa(o.Context))
	for _, flag := range o.Flags {
		add("flag", shellescape.Quote(flag))
	}
	add("hives", strings.Join(o.Hives, ","))
	return strings.Join(words, " ")
}

// remindKept has the scheduler know what was kept when the queen ended.
func (q *Queen) remindKept(ctx context.Context) error {
	rows, err := q.store.db.QueryContext(ctx, "SELECT hive, model, worker, spawn FROM kept")
	if err != nil {
		return fmt.Errorf("read how workers were started: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var hive, model, text string
		var k schedule.Kept
		if err := rows.Scan(&hive, &model, &k.Worker, &text); err != nil {
			return fmt.Errorf("read how workers were started: %w", err)
		}
		if k.Spawn, _, err = ops.Decode[ops.WorkerSpawn]([]byte(text)); err != nil {
			q.Log.Warn().Err(err).Str("hive", hive).Str("model", model).Msg("how a worker was started is not understood")
			continue
		}
		q.schedule.Keep(hive, model, k)
	}
	return rows.Err()
}

// moveKept has what is kept of a hive be that of its new name.
func (q *Queen) moveKept(ctx context.Context, from, to string) error {
	for model, k := range q.schedule.AllKept(from) {
		if len(k.Spawn.Hives) > 0 {
			k.Spawn.Hives = append([]string{to}, k.Spawn.Hives[1:]...)
		}
		if err := q.keep(ctx, k.Spawn, ops.Worker{ID: k.Worker, HiveID: to, Model: model}); err != nil {
			return err
		}
	}
	return nil
}

// SaveKept remembers how a worker of the model was started on the hive.
func (s *store) SaveKept(ctx context.Context, hive, model string, k schedule.Kept) error {
	text, err := ops.Encode(k.Spawn, "")
	if err == nil {
		_, err = s.db.ExecContext(ctx,
			`INSERT INTO kept (hive, model, worker, spawn) VALUES (?, ?, ?, ?)
			 ON CONFLICT (hive, model) DO UPDATE SET worker = excluded.worker, spawn = excluded.spawn`,
			hive, model, k.Worker, string(text))
	}
	if err != nil {
		return fmt.Errorf("remember how worker %s was started: %w", k.Worker, err)
	}
	return nil
}

// ForgetKept forgets it.
func (s *store) ForgetKept(ctx context.Context, hive, model string) error {
	if _, err := s.db.ExecContext(ctx, "DELETE FROM kept WHERE hive = ? AND model = ?", hive, model); err != nil {
		return fmt.Errorf("forget how %s was started on %s: %w", model, hive, err)
	}
	return nil
}
