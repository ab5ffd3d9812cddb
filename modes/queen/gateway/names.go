package gateway

import (
	"context"
	"strings"

	"rbee.dev/rbee/ops"
)

// latest is the tag that Ollama's clients add to a name, of a model's only version.
const latest = ":latest"

// untagged is a model's name without that tag, unless that is what somebody has called
// it.
func (g *Gateway) untagged(ctx context.Context, model string) string {
	name, tagged := strings.CutSuffix(model, latest)
	if !tagged || g.has(ctx, model) {
		return model
	}
	if _, alias := g.fleet.Aliases()[model]; alias {
		return model
	}
	return name
}

// alias puts the model that a request means by another name in that one's place, also
// by the tag that Ollama's clients add. What a model is called itself comes first.
func (g *Gateway) alias(ctx context.Context, a asked, body []byte) (asked, []byte) {
	if name := g.untagged(ctx, a.model); name != a.model {
		a, body = a.renamed(body, name)
	}
	if model, ok := g.fleet.Aliases()[a.model]; ok && !g.has(ctx, a.model) {
		a.alias = a.model
		return a.renamed(body, model)
	}
	return a, body
}

// bring puts a model's name in the place of where it comes from. One that no hive
// has is brought first, if that may be; say is told how that goes.
func (g *Gateway) bring(ctx context.Context, a asked, body []byte, say func(string)) (asked, []byte, error) {
	if !ops.IsModelReference(a.model) {
		return a, body, nil
	}
	brought, err := g.arrivals.wait(ctx, g.life, g.fleet, a.model, say)
	if err != nil {
		return a, nil, err
	}
	a, body = a.renamed(body, brought.ID)
	return a, body, nil
}

// renamed is the request with the model's own name in it, at which engines may
// look. The rest of the body stays as it is.
func (a asked) renamed(body []byte, model string) (asked, []byte) {
	text := marshal(model)
	named := make([]byte, 0, len(body)+len(text))
	named = append(append(append(named, body[:a.from]...), text...), body[a.to:]...)
	a.model, a.to = model, a.from+len(text)
	return a, named
}

// unknown is the error of a model that no hive has, with those that the context's guest
// may use.
func (g *Gateway) unknown(ctx context.Context, id string) *ops.Error {
	e := ops.Errorf(ops.CodeNotFound, "there is no model %q on any hive", id)
	e.Field = "model"
	var names []string
	for _, m := range g.models(ctx) {
		names = append(names, m.ID)
	}
	return e.WithHint("%s", ops.ModelHint(id, names))
}
