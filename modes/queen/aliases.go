package queen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"al.essio.dev/pkg/shellescape"

	"rbee.dev/rbee/ops"
)

// aliases is the other names of models. The map is never changed, only replaced:
// each request looks into it.
type aliases struct {
	all atomic.Pointer[map[string]string]
}

// get returns the names and what each means.
func (a *aliases) get() map[string]string {
	if all := a.all.Load(); all != nil {
		return *all
	}
	return nil
}

// meant is the model that a name means. A model of that name comes before another one
// that is called so too.
func (q *Queen) meant(name string) string {
	if other, ok := q.aliases.get()[name]; ok && !q.has(name) {
		return other
	}
	return name
}

// has reports whether a hive has a model of that name of its own.
func (q *Queen) has(name string) bool {
	return slices.ContainsFunc(q.books.models(), func(m ops.Model) bool { return m.ID == name })
}

// load reads them from the database.
func (a *aliases) load(ctx context.Context, s *store) error {
	all, err := s.Aliases(ctx)
	a.all.Store(&all)
	return err
}

// ModelAlias gives a model another name.
func (q *Queen) ModelAlias(ctx context.Context, o ops.ModelAlias) (ops.Alias, error) {
	models := q.models(ctx).Models
	called := func(name string) bool {
		return slices.ContainsFunc(models, func(m ops.Model) bool { return m.ID == name })
	}
	if called(o.Alias) {
		e := ops.Errorf(ops.CodeConflict, "a model is called %s itself", o.Alias).WithHint("choose another alias")
		e.Field = "alias"
		return ops.Alias{}, e
	}
	if err := q.aliasable(o.Model, models); err != nil {
		return ops.Alias{}, err
	}
	if before, ok := q.aliases.get()[o.Alias]; ok && before != o.Model {
		ops.Narrate(ctx, "model_alias", "%s meant %s before", o.Alias, before)
	}
	if err := q.store.SaveAlias(ctx, o.Alias, o.Model); err != nil {
		return ops.Alias{}, err
	}
	a := ops.Alias{Alias: o.Alias, Model: o.Model, Missing: ops.IsModelReference(o.Model) && q.lacks(o.Model)}
	if a.Missing {
		ops.Warn(ctx, "model_alias", "no hive has that model, and this queen does not download by itself; `rbee model download %s` brings it, `rbee queen serve --auto-download` lets requests do so", shellescape.Quote(o.Model))
	}
	return a, q.aliases.load(ctx, q.store)
}

// lacks reports whether requests for the model that an alias means fail: no hive has
// it, and they do not bring it.
func (q *Queen) lacks(model string) bool {
	if !ops.IsModelReference(model) {
		return q.known(model) == ""
	}
	return !q.AutoDownload && !slices.ContainsFunc(q.books.models(), func(m ops.Model) bool { return m.Error == "" && m.ComesFrom(model) })
}

// aliasable is the error of an alias for what is none of the models that there are, nor
// where one comes from.
func (q *Queen) aliasable(name string, models []ops.Model) error {
	if ops.IsModelReference(name) || slices.ContainsFunc(models, func(m ops.Model) bool { return m.ID == name }) {
		return nil
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no model %q on any hive", name)
	e.Field = "model"
	if other, ok := q.aliases.get()[name]; ok {
		return e.WithHint("it is an alias itself: name its model, %s", other)
	}
	names := make([]string, len(models))
	for i, m := range models {
		names[i] = m.ID
	}
	return e.WithHint("%s", ops.ModelHint(name, names))
}

// ModelAliases lists the aliases.
func (q *Queen) ModelAliases(ctx context.Context, _ ops.ModelAliases) (ops.Aliases, error) {
	all := q.aliases.get()
	list := ops.Aliases{Aliases: []ops.Alias{}}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a := ops.Alias{Alias: name, Model: all[name]}
		if !q.mayUse(ctx, a.Model) {
			continue
		}
		a.Missing = q.lacks(a.Model)
		list.Aliases = append(list.Aliases, a)
	}
	return list, nil
}

// ModelUnalias removes an alias.
func (q *Queen) ModelUnalias(ctx context.Context, o ops.ModelUnalias) (ops.AliasRemoved, error) {
	all := q.aliases.get()
	if _, ok := all[o.Alias]; !ok {
		e := ops.Errorf(ops.CodeNotFound, "there is no alias %q", o.Alias)
		e.Field = "alias"
		if near := ops.Nearest(o.Alias, slices.Collect(maps.Keys(all))); near != "" {
			return ops.AliasRemoved{}, e.WithHint("did you mean %q?", near)
		}
		return ops.AliasRemoved{}, e.WithHint("`rbee model aliases` shows those there are")
	}
	if err := q.store.RemoveAlias(ctx, o.Alias); err != nil {
		return ops.AliasRemoved{}, err
	}
	return ops.AliasRemoved{Alias: o.Alias}, q.aliases.load(ctx, q.store)
}

// called returns the other names of a model, in order.
func (q *Queen) called(m ops.Model) []string {
	var names []string
	for name, model := range q.aliases.get() {
		if model == m.ID || ops.IsModelReference(model) && m.ComesFrom(model) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// withAliases puts the aliases into what a list of models or a model came as, and
// returns what was downloaded, or deleted, once the queen knows of it.
func (q *Queen) withAliases(ctx context.Context, o ops.HiveOp, result any) (any, error) {
	switch o.(type) {
	case ops.ModelList:
		list, err := readAs[ops.Models](result)
		list.Models = slices.DeleteFunc(list.Models, func(m ops.Model) bool { return !q.mayUse(ctx, m.ID) })
		for i, m := range list.Models {
			list.Models[i].Aliases = q.called(m)
		}
		return list, err
	case ops.WorkerList:
		list, err := readAs[ops.Workers](result)
		list.Workers = q.seen(ctx, list.Workers)
		return list, err
	case ops.WorkerGet:
		w, err := readAs[ops.Worker](result)
		return forCaller(ctx, w), err
	case ops.ModelGet:
		m, err := readAs[ops.Model](result)
		m.Aliases = q.called(m)
		return m, err
	case ops.ModelDownload: // the next request may be for it
		m, err := readAs[ops.Model](result)
		q.shelved(ctx, m)
		if other := q.aliases.get()[m.ID]; other != "" && err == nil {
			ops.Warn(ctx, "model_alias", "%s means this model now, and %s no more; `rbee model unalias %s` takes the alias away", m.ID, other, m.ID)
		}
		return result, err
	case ops.ModelDelete: // the next request must not be given it
		d, err := readAs[ops.ModelDeleted](result)
		q.unshelved(ctx, d)
		if err == nil {
			err = q.unkeep(ctx, d.HiveID, d.ID)
		}
		return result, err
	}
	return result, nil
}

// readAs is a result that came as it is or as JSON.
func readAs[R any](result any) (R, error) {
	if r, ok := result.(R); ok {
		return r, nil
	}
	var r R
	text, ok := result.(json.RawMessage)
	if !ok {
		return r, fmt.Errorf("a result is a %T", result)
	}
	err := json.Unmarshal(text, &r)
	return r, err
}

// doNamed does a hive's operation, in which other names of models may be.
func (q *Queen) doNamed(ctx context.Context, o ops.HiveOp) (result any, err error) {
	if name := modelOf(o); q.meant(name) != name {
		ctx = withAlias(ctx, name)
	}
	ctx = q.discreetly(ctx)
	if err := q.seesWorker(ctx, o); err != nil {
		return nil, err
	}
	if infer, ok := o.(ops.Infer); ok {
		result, err = q.infer(ctx, infer)
	} else if o, err = q.plainly(ctx, o); err == nil {
		result, err = q.route(ctx, o)
	}
	if err != nil {
		return nil, q.told(ctx, o, err)
	}
	return q.withAliases(ctx, o, result)
}

// told is the error of a hive's operation as who has sent it is told it.
func (q *Queen) told(ctx context.Context, o ops.HiveOp, err error) error {
	return q.access.Guest(ops.CallerOf(ctx)).Told(q.nearerWorker(ctx, q.orElsewhere(o, q.orAlias(ctx, o, err))))
}

type aliasKey struct{}

// withAlias returns a context of a job that calls its model by another name.
func withAlias(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, aliasKey{}, name)
}

// aliasOf is the other name that the job of ctx calls its model by, or "".
func aliasOf(ctx context.Context) string {
	name, _ := ctx.Value(aliasKey{}).(string)
	return name
}

// plainly returns o with the name of a model in place of another name or of
// where it comes from.
func (q *Queen) plainly(ctx context.Context, o ops.HiveOp) (ops.HiveOp, error) {
	switch o := o.(type) {
	case ops.Infer:
		if o.Model = q.meant(o.Model); !ops.IsModelReference(o.Model) {
			return o, nil
		}
		q.schedule.Bring(toChoose(ctx, o))
		m, err := q.bring(ctx, o.Model, o.HiveID, o.Device)
		o.Model = m.ID
		return o, err
	case ops.WorkerSpawn:
		if o.Model = q.meant(o.Model); !ops.IsModelReference(o.Model) {
			return o, nil
		}
		m, err := q.bring(ctx, o.Model, o.HiveID, o.Device)
		o.Model = m.ID
		return o, err
	case ops.ModelGet:
		o.ID = q.meant(o.ID)
		return o, nil
	case ops.ModelDownload:
		return o, q.free(o.ID)
	}
	return o, nil
}

// free refuses the name for a new model that another one is called by.
func (q *Queen) free(name string) error {
	other, taken := q.aliases.get()[name]
	if !taken || q.has(name) {
		return nil
	}
	e := ops.Errorf(ops.CodeConflict, "%s is an alias of %s", name, other).
		WithHint("choose another name, or `rbee model unalias %s` takes it away", name)
	e.Field = "id"
	return e
}

// orAlias adds to the error of a model that a hive has not got the alias that
// was likely meant, where the hive had nothing to propose. What was asked for is no
// proposal, nor is what means the same, or what is not answered.
func (q *Queen) orAlias(ctx context.Context, o ops.HiveOp, err error) error {
	name := modelOf(o)
	e, ok := errors.AsType[*ops.Error](err)
	if !ok || name == "" || q.known(name) != "" || !lacksModel(e) || strings.Contains(e.Hint, "did you mean") {
		return err
	}
	if ops.IsModelReference(q.meant(name)) { // the hint is how it is brought
		return err
	}
	var aliases []string
	for alias, model := range q.aliases.get() {
		if alias != name && !q.lacks(model) && q.mayUse(ctx, model) {
			aliases = append(aliases, alias)
		}
	}
	if near := ops.Nearest(name, aliases); near != "" {
		return e.WithHint("did you mean %q? `rbee model aliases` shows what it means", near)
	}
	return err
}

// lacksModel reports whether err says that there is no such model, and not that there
// is no such device, engine or hive.
func lacksModel(err error) bool {
	e := ops.AsError(err)
	return e != nil && e.Code == ops.CodeNotFound && (e.Field == "" || e.Field == "model" || e.Field == "id")
}
