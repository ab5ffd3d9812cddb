package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"rbee.dev/rbee/ops"
)

// model is a model as OpenAI's list has it.
type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"` // Unix time, seconds
	OwnedBy string `json:"owned_by"`
}

// models lists every model of the fleet once, and its other names.
func (g *Gateway) models(ctx context.Context) []model {
	byID := map[string]model{}
	for _, m := range g.fleet.Models(ctx) {
		if m.Error != "" {
			continue
		}
		for _, name := range append([]string{m.ID}, m.Aliases...) {
			byID[name] = model{ID: name, Object: "model", Created: m.AddedAt.Unix(), OwnedBy: "rbee"}
		}
	}
	for _, w := range g.fleet.Workers() { // one whose file was taken away still answers
		if _, known := byID[w.Model]; !known && w.State != ops.WorkerFailed && permits(ctx, w.Model) == nil {
			byID[w.Model] = model{ID: w.Model, Object: "model", Created: w.StartedAt.Unix(), OwnedBy: "rbee"}
		}
	}
	list := make([]model, 0, len(byID))
	for _, m := range byID {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b model) int { return strings.Compare(a.ID, b.ID) })
	return list
}

func (g *Gateway) serveModels(w http.ResponseWriter, r *http.Request) {
	list := g.models(r.Context())
	if fromAnthropic(r) {
		tell(w, anthropicModels(list))
		return
	}
	tell(w, struct {
		Object string  `json:"object"`
		Data   []model `json:"data"`
	}{"list", list})
}

func (g *Gateway) serveModel(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, "/v1/models/")
	for _, m := range g.models(r.Context()) {
		switch {
		case m.ID != id && m.ID+latest != id:
			continue
		case fromAnthropic(r):
			tell(w, m.anthropic())
		default:
			tell(w, m)
		}
		return
	}
	err := permits(r.Context(), id) // as who asks it something is told
	if err == nil {
		err = g.unknown(r.Context(), id)
	}
	if fromAnthropic(r) {
		refuse(w, &anthropic{}, err)
	} else {
		fail(w, err)
	}
}

func tell(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // the client may be gone
}

// has reports whether a hive has the model.
func (g *Gateway) has(ctx context.Context, id string) bool {
	return slices.ContainsFunc(g.fleet.Models(ctx), func(m ops.Model) bool { return m.ID == id && m.Error == "" })
}
