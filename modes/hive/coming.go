package hive

import (
	"context"
	"net/http"

	"rbee.dev/rbee/inference/fit"
	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// coming is what decides how much memory a model takes that is on another hive, of
// which it reads the beginning there. Where that is not to be had, its size counts:
// whoever brings it hears why.
func (m *models) coming(ctx context.Context, there ops.Model) *fit.Model {
	model, projector := fetch.Beginning{Size: there.Size}, fetch.Beginning{}
	options := m.fetch
	options.Schemes = map[string]http.RoundTripper{hiveScheme: m.wants}
	f := fetch.New(options)
	defer f.Close()
	if p, err := m.elsewhere(ctx, ops.HiveScheme+there.HiveID+"/"+there.ID); err == nil {
		defer m.giveBack(ctx, p)
		model.Head, _ = f.Head(ctx, p.files[0]) // nil is not known
		parts := max(1, partsOf(p.names[0]))
		if len(p.files) == parts+1 { // of several none counts
			projector.Size = p.files[parts].Size
			projector.Head, _ = f.Head(ctx, p.files[parts])
			model.Size -= projector.Size
		}
	}
	shape := shapeBy(model, projector)
	return &shape
}
