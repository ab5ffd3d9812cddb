package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"rbee.dev/rbee/ops"
)

// unloads reports whether a request's keep_alive has the model kept for no time.
func unloads(keep json.RawMessage) (bool, error) {
	if len(keep) == 0 || string(keep) == "null" {
		return false, nil
	}
	var text string
	var n float64
	if json.Unmarshal(keep, &n) == nil {
		return n == 0, nil
	}
	if json.Unmarshal(keep, &text) == nil {
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			return n == 0, nil
		}
		if d, err := time.ParseDuration(text); err == nil {
			return d == 0, nil
		}
	}
	return false, ops.Invalid("keep_alive", `must be seconds, or a time as "5m", got %s`, keep)
}

// unloadWithin is how long a request to unload a model takes at most.
const unloadWithin = 10 * time.Second

// unload ends the workers of a model, and reports whether any was ended, or none was
// there. Those stay that have something to do, or whose model is pinned, until the hive
// unloads them by itself.
func (g *Gateway) unload(ctx context.Context, name string) bool {
	if model, ok := g.fleet.Aliases()[name]; ok && !g.has(ctx, name) {
		name = model
	}
	if name == "" || permits(ctx, name) != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, unloadWithin)
	defer cancel()
	some, stays := false, false
	for _, w := range g.fleet.Workers() {
		switch {
		case w.Model != name || w.State == ops.WorkerFailed:
		case w.State == ops.WorkerLoading || g.fleet.Unload(ctx, w) != nil:
			stays = true
		default:
			some = true
		}
	}
	return some || !stays
}

// serveNothing answers a request that says nothing, by which Ollama's clients have a
// model loaded, or unloaded where it is not to be kept.
func (g *Gateway) serveNothing(w http.ResponseWriter, r *http.Request, name string, unloads bool, d *ollama) {
	switch {
	case name == "":
		refuse(w, d, ops.Invalid("model", "must be given"))
	case !unloads:
		g.serveLoad(w, r, name, d)
	case !slices.ContainsFunc(g.models(r.Context()), func(m model) bool { return m.ID == name }):
		refuse(w, d, g.unknown(r.Context(), name))
	case g.unload(r.Context(), name):
		tell(w, d.nothing("unload"))
	default:
		tell(w, d.nothing("load")) // which it stays
	}
}

// serveLoad has a model loaded. The worker is asked for its models, which generates
// nothing.
func (g *Gateway) serveLoad(w http.ResponseWriter, r *http.Request, name string, d *ollama) {
	r = r.Clone(r.Context())
	r.Method = http.MethodGet
	body := map[string]any{}
	putModel(body, name)
	g.translate(w, r, "/v1/models", body, &ollamaLoad{d})
}
