package queen

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"al.essio.dev/pkg/shellescape"

	"rbee.dev/rbee/ops"
)

// bring returns the model that a reference means: one that hive has, or any hive for
// "", or else one that another has, which whoever needs it carries there. Where none
// has it, it is downloaded if the queen may do that by itself, onto one with the device
// that it is to run on; "" is any.
func (q *Queen) bring(ctx context.Context, reference, hive, device string) (ops.Model, error) {
	if _, _, err := ops.HubReference(reference); err != nil {
		return ops.Model{}, err
	}
	all := q.books.models()
	models := slices.DeleteFunc(slices.Clone(all), func(m ops.Model) bool { return m.Error != "" || !m.ComesFrom(reference) })
	if there := slices.DeleteFunc(slices.Clone(models), func(m ops.Model) bool { return m.HiveID != hive }); len(there) > 0 {
		models = there
	}
	if len(models) > 0 {
		m := slices.MinFunc(models, likelier)
		if err := taken(all, m, hive, reference); err != nil {
			return ops.Model{}, err
		}
		if _, _, told := strings.Cut(strings.TrimPrefix(reference, "hf:"), ":"); !told {
			ops.Narrate(ctx, "model_choose", "taking %s for %s: it is there", m.ID, reference)
		}
		return m, nil
	}
	if !q.AutoDownload {
		if err := unusable(all, reference); err != nil {
			return ops.Model{}, err
		}
		e := ops.Errorf(ops.CodeNotFound, "the model %s is on no hive that is up, and this queen does not download by itself", reference)
		e.Field = "model"
		return ops.Model{}, e.WithHint("`rbee model download%s %s` brings it; `rbee queen serve --auto-download`, or RBEE_AUTO_DOWNLOAD=1 before the queen starts, lets requests bring models", ops.HiveFlag(hive), shellescape.Quote(reference))
	}
	return q.download(ctx, reference, hive, device)
}

// unusable is the error of a model that is there and cannot be used, as one that is
// being downloaded; nil where none is.
func unusable(all []ops.Model, reference string) error {
	i := slices.IndexFunc(all, func(m ops.Model) bool { return m.Error != "" && m.ComesFrom(reference) })
	if i < 0 {
		return nil
	}
	m := all[i]
	e := ops.Errorf(ops.CodeNotFound, "the model %s is %s on %s, which cannot be used: %s", reference, m.ID, m.HiveID, m.Error)
	e.Field = "model"
	return e.WithHint("%s", m.Hint)
}

// taken is the error of a model that is to go to a hive which calls another one so.
func taken(all []ops.Model, m ops.Model, hive, reference string) error {
	i := slices.IndexFunc(all, func(o ops.Model) bool { return o.ID == m.ID && o.HiveID == hive && !o.ComesFrom(reference) })
	if i < 0 {
		return nil
	}
	return ops.Errorf(ops.CodeConflict, "hive %s calls another model %s, from %s", hive, m.ID, all[i].Source).
		WithHint("`rbee model download%s %s --name NAME` brings this one by another name", ops.HiveFlag(hive), shellescape.Quote(reference))
}

// wholeName is a name for the model that a reference means, of all of its parts.
func wholeName(reference string) string {
	name := strings.NewReplacer("/", "-", ":", "-").Replace(strings.TrimPrefix(reference, "hf:"))
	return strings.TrimSuffix(name, ".gguf")
}

// likelier puts the one of two models first that is meant by the repository that
// both come from: in the quantisation that a download takes by itself, else the one
// that was added last; the queen's own first of copies.
func likelier(a, b ops.Model) int {
	usual := func(m ops.Model) int {
		if strings.Contains(strings.ToUpper(m.Source), "Q4_K_M") {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(usual(a), usual(b)), b.AddedAt.Compare(a.AddedAt),
		cmp.Compare(remoteness(a.HiveID), remoteness(b.HiveID)), cmp.Compare(a.HiveID, b.HiveID))
}

// shelved waits until the books have a model that was brought: the download's
// end and the hive's state come by different ways.
func (q *Queen) shelved(ctx context.Context, m ops.Model) {
	q.awaitModel(ctx, true, func(known ops.Model) bool { return known.ID == m.ID && known.Error == "" })
}

// unshelved waits until the books no longer have a model that was deleted.
func (q *Queen) unshelved(ctx context.Context, d ops.ModelDeleted) {
	q.awaitModel(ctx, false, func(known ops.Model) bool { return known.ID == d.ID && known.HiveID == d.HiveID })
}

// awaitModel waits, not for long, until the books have such a model, or have none.
func (q *Queen) awaitModel(ctx context.Context, have bool, such func(ops.Model) bool) {
	q.awaitBooks(ctx, func() bool { return slices.ContainsFunc(q.books.models(), such) == have })
}

// awaitBooks waits, not for long, until the books are so.
func (q *Queen) awaitBooks(ctx context.Context, so func() bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for turned := q.books.bell.next(); !so(); turned = q.books.bell.next() {
		select {
		case <-turned:
		case <-ctx.Done():
			return
		}
	}
}

// Aliases returns the other names of models, and what each means.
func (f fleet) Aliases() map[string]string { return f.aliases.get() }

// Bring returns the model that a reference means, downloaded if need be.
func (f fleet) Bring(ctx context.Context, reference string) (ops.Model, error) {
	return f.bring(ops.As(ctx, "queen"), reference, "", "")
}
