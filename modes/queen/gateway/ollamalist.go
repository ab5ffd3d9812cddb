package gateway

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// ollamaModel is a model in Ollama's lists.
type ollamaModel struct {
	Name     string        `json:"name"`
	Model    string        `json:"model"`
	Modified time.Time     `json:"modified_at"`
	Size     int64         `json:"size"`
	Digest   string        `json:"digest"`
	Details  ollamaDetails `json:"details"`
}

type ollamaDetails struct {
	Parent       string   `json:"parent_model"`
	Format       string   `json:"format"`
	Family       string   `json:"family"`
	Families     []string `json:"families"`
	Parameters   string   `json:"parameter_size"`
	Quantization string   `json:"quantization_level"`
}

// newOllamaModel has the tag that Ollama's names always have, by which its clients look
// for them.
func newOllamaModel(name string, m ops.Model) ollamaModel {
	name = strings.TrimSuffix(name, latest) + latest
	return ollamaModel{name, name, m.AddedAt, m.Size, m.SHA256, ollamaDetails{
		Format: "gguf", Family: m.Architecture, Families: []string{m.Architecture},
		Parameters: humanCount(m.Parameters), Quantization: m.Quantization,
	}}
}

// serveTags lists the models, each once.
func (g *Gateway) serveTags(w http.ResponseWriter, r *http.Request) {
	list, seen := []ollamaModel{}, map[string]bool{}
	for _, m := range g.fleet.Models(r.Context()) {
		if m.Error != "" || seen[m.ID] {
			continue
		}
		seen[m.ID] = true
		for _, name := range append([]string{m.ID}, m.Aliases...) {
			list = append(list, newOllamaModel(name, m))
		}
	}
	slices.SortFunc(list, func(a, b ollamaModel) int { return cmp.Compare(a.Name, b.Name) })
	tell(w, map[string]any{"models": list})
}

// never is a date that Ollama's clients show as for ever.
const never = 100 * 365 * 24 * time.Hour

// servePS lists the models that are loaded, and until when if nobody asks for them.
func (g *Gateway) servePS(w http.ResponseWriter, r *http.Request) {
	type loaded struct {
		ollamaModel
		ExpiresAt time.Time `json:"expires_at"`
		SizeVRAM  int64     `json:"size_vram"`
		Context   int       `json:"context_length,omitempty"`
	}
	known := map[string]ops.Model{}
	for _, m := range g.fleet.Models(r.Context()) {
		known[m.ID] = m
	}
	list, seen := []loaded{}, map[string]bool{}
	for _, x := range g.fleet.Workers() {
		if seen[x.Model] || permits(r.Context(), x.Model) != nil || x.State != ops.WorkerReady && x.State != ops.WorkerBusy {
			continue
		}
		seen[x.Model] = true
		l := loaded{ollamaModel: newOllamaModel(x.Model, known[x.Model]), ExpiresAt: time.Now().UTC().Add(never), Context: x.Context}
		if x.UnloadsAt != nil {
			l.ExpiresAt = *x.UnloadsAt
		}
		if g.onCard(x) {
			l.SizeVRAM = l.Size
		}
		list = append(list, l)
	}
	tell(w, map[string]any{"models": list})
}

// onCard reports whether a worker's model is on a GPU. An engine that was started by a
// command line chooses by itself, and is taken to use one where there is one.
func (g *Gateway) onCard(w ops.Worker) bool {
	if w.Device == "" || w.Device == "auto" {
		return g.fleet.HasCard(w.HiveID)
	}
	return w.Device != "cpu"
}

// serveShow describes one model.
func (g *Gateway) serveShow(w http.ResponseWriter, r *http.Request) {
	var o struct {
		Model string `json:"model"`
		Name  string `json:"name"` // what Model was called before
	}
	if !readOllama(w, r, &o) {
		return
	}
	name := g.ollamaName(r.Context(), cmp.Or(o.Model, o.Name))
	if name == "" {
		refuse(w, &ollama{}, ops.Invalid("model", "must be given"))
		return
	}
	called := func(m ops.Model) bool { return (m.ID == name || slices.Contains(m.Aliases, name)) && m.Error == "" }
	list := g.fleet.Models(r.Context())
	i := slices.IndexFunc(list, called)
	if i < 0 && g.fleet.JustPut(r.Context(), name) {
		list = g.fleet.Models(r.Context())
		i = slices.IndexFunc(list, called)
	}
	if i < 0 {
		refuse(w, &ollama{}, g.unknown(r.Context(), name))
		return
	}
	m := list[i]
	can := m.Abilities
	if len(can) == 0 { // of a hive of an older build
		can = []ops.Ability{ops.AbilityCompletion}
	}
	tell(w, map[string]any{
		"modelfile": "FROM " + m.Source, "parameters": "", "template": "", "modified_at": m.AddedAt,
		"details":      newOllamaModel(name, m).Details,
		"capabilities": can,
		"model_info": map[string]any{
			"general.architecture": m.Architecture, "general.parameter_count": m.Parameters, m.Architecture + ".context_length": m.Context,
		},
	})
}
