package queen

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// bring returns the model that a reference means, on hive, or on any for "".
// Where none has it, it is downloaded if the queen may do that by itself.
func (q *Queen) bring(ctx context.Context, reference, hive string) (ops.Model, error) {
	if _, _, err := ops.HubReference(reference); err != nil {
		return ops.Model{}, err
	}
	models := slices.DeleteFunc(q.books.models(), func(m ops.Model) bool {
		return m.Error != "" || hive != "" && m.HiveID != hive || !isFrom(m, reference)
	})
	if len(models) > 0 {
		m := slices.MinFunc(models, likelier)
		if _, _, told := strings.Cut(strings.TrimPrefix(reference, "hf:"), ":"); !told {
			ops.Narrate(ctx, "model_choose", "taking %s for %s: it is there", m.ID, reference)
		}
		return m, nil
	}
	if !q.AutoDownload {
		e := ops.Errorf(ops.CodeNotFound, "the model %s is on no hive, and this queen does not download by itself", reference)
		e.Field = "model"
		return ops.Model{}, e.WithHint("`rbee model download %s` brings it; `rbee queen serve --auto-download`, or RBEE_AUTO_DOWNLOAD=1 before the queen starts, lets requests bring models", reference)
	}
	return q.download(ctx, reference, hive)
}

// wholeName is a name for the model that a reference means, of all of its parts.
func wholeName(reference string) string {
	name := strings.NewReplacer("/", "-", ":", "-").Replace(strings.TrimPrefix(reference, "hf:"))
	return strings.TrimSuffix(name, ".gguf")
}

// likelier puts the one of two models first that is meant by the repository that
// both come from: in the quantisation that a download takes by itself, else the one
// that was added last.
func likelier(a, b ops.Model) int {
	usual := func(m ops.Model) int {
		if strings.Contains(strings.ToUpper(m.Source), "Q4_K_M") {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(usual(a), usual(b)), b.AddedAt.Compare(a.AddedAt))
}

// isFrom reports whether m is what a reference means: it names the model's
// source, the repository alone, or the repository and the quantisation.
func isFrom(m ops.Model, reference string) bool {
	if m.Source == reference {
		return true
	}
	repository, file, ok := strings.Cut(strings.TrimPrefix(m.Source, "hf:"), ":")
	if !ok || !strings.HasPrefix(m.Source, "hf:") {
		return false
	}
	wanted, part, _ := strings.Cut(strings.TrimPrefix(reference, "hf:"), ":")
	if wanted != repository {
		return false
	}
	name := strings.TrimSuffix(strings.ToLower(path.Base(file)), ".gguf")
	part = strings.ToLower(part)
	return part == "" || strings.TrimSuffix(part, ".gguf") == name || strings.HasSuffix(name, "-"+part) || strings.HasSuffix(name, "."+part)
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
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for ctx.Err() == nil && slices.ContainsFunc(q.books.models(), such) != have {
		pause(ctx, loadingLook)
	}
}

// Aliases returns the other names of models, and what each means.
func (f fleet) Aliases() map[string]string { return f.aliases.get() }

// Bring returns the model that a reference means, downloaded if need be.
func (f fleet) Bring(ctx context.Context, reference string) (ops.Model, error) {
	return f.bring(ops.As(ctx, "queen"), reference, "")
}
