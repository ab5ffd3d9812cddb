package gateway

import (
	"context"
	"encoding/json"
	"slices"

	"rbee.dev/rbee/ops"
)

// checkImages refuses images for a model that takes none. Engines say so by an error of
// their own, which would have every worker of it asked.
func (g *Gateway) checkImages(ctx context.Context, a asked) error {
	if !a.images { // which costs nothing to know
		return nil
	}
	if able, told := g.able(ctx, a.model, ops.AbilityVision); able || !told || !hasImages(a.prompt) {
		return nil
	}
	return ops.Invalid("", "%q takes no images", a.model).
		WithHint("a model takes them where its projector, an mmproj file, lies beside it: `rbee model get MODEL` says what it can do")
}

// hasImages reports whether messages, or the input of the responses API, hold any.
func hasImages(prompt []byte) bool {
	var list []struct{ Content json.RawMessage }
	if json.Unmarshal(prompt, &list) != nil {
		return false
	}
	for _, m := range list {
		var parts []struct{ Type string }
		if json.Unmarshal(m.Content, &parts) != nil {
			continue // a text
		}
		if slices.ContainsFunc(parts, func(p struct{ Type string }) bool { return p.Type == "image_url" || p.Type == "input_image" }) {
			return true
		}
	}
	return false
}

// able reports whether the model's file, on any hive, says that it can do something; told
// is false where nobody knows, as of an engine that was started by a command line: it need
// not use what is in that file.
func (g *Gateway) able(ctx context.Context, name string, what ops.Ability) (able, told bool) {
	if model, ok := g.fleet.Aliases()[name]; ok && !g.has(ctx, name) {
		name = model
	}
	if slices.ContainsFunc(g.fleet.Workers(), func(w ops.Worker) bool { return w.Model == name && w.Engine == "command" }) {
		return false, false
	}
	for _, m := range g.fleet.Models(ctx) {
		if m.ID == name && len(m.Abilities) > 0 {
			able, told = able || slices.Contains(m.Abilities, what), true
		}
	}
	return able, told
}
