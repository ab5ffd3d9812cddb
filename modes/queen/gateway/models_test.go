package gateway

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestTheModelsAreListedOnce(t *testing.T) {
	f := newFarm(t)
	f.models = append(f.models, ops.Model{ID: "bee", HiveID: "gpu2"}, ops.Model{ID: "ant"})
	w := f.add("w", events())
	w.ID, w.Model = "v", "wasp"
	f.workers = append(f.workers, w)
	get := func(path string) (int, string) {
		t.Helper()
		status, _, text := f.send(http.MethodGet, path, "", nil)
		return status, text
	}
	_, text := get("/v1/models")
	var list struct{ Data []model }
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range list.Data {
		ids = append(ids, m.ID)
	}
	if !slices.Equal(ids, []string{"ant", "bee", "wasp"}) {
		t.Errorf("listed are %v", ids)
	}
	if status, text := get("/v1/models/bee"); status != 200 || !strings.Contains(text, `"id":"bee"`) {
		t.Errorf("bee: %d %s", status, text)
	}
	if status, text := get("/v1/models/bee:latest"); status != 200 || !strings.Contains(text, `"id":"bee"`) {
		t.Errorf("bee, as Ollama's clients call it: %d %s", status, text)
	}
	for path, want := range map[string]int{"/v1/models": 200, "/v1/models/bee": 200, "/v1/models/bear": 404, "/api/tags": 200, "/api/version": 200, "/api/nothing": 404} {
		if status, h, text := f.send(http.MethodHead, path, "", nil); status != want || text != "" || h.Get("Content-Type") != "application/json" {
			t.Errorf("the head of %s: %d %v %s", path, status, h, text)
		}
	}
	if status, text := get("/v1/models/bear"); status != 404 || !strings.Contains(text, "bee") {
		t.Errorf("bear: %d %s", status, text)
	}
}

// TestALookAtAModelIsRefusedAsAQuestionToItIs, in the words for a guest who may not.
func TestALookAtAModelIsRefusedAsAQuestionToItIs(t *testing.T) {
	f := newFarm(t)
	f.visit(&visitor{model: "ant"})
	looked, _, look := f.send(http.MethodGet, "/v1/models/bee", "", nil)
	asked, _, ask := f.ask("/v1/completions", `{"model":"bee"}`)
	if looked != http.StatusForbidden || looked != asked || look != ask {
		t.Errorf("a look is %d %s, a question %d %s", looked, look, asked, ask)
	}
}
