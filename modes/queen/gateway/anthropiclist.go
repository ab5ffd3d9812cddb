package gateway

import (
	"encoding/json"
	"net/http"
	"time"
)

// anthropicCount is the dialect of counting a prompt's tokens. Engines have no
// call for that which all of them know, but each counts the prompt of an answer;
// one token of it is asked for, and the prompt stays in the engine's cache for
// the question that follows.
type anthropicCount struct{ *anthropic }

func (*anthropicCount) whole(text []byte) ([]byte, error) {
	var c chunk
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	n := 0
	if c.Usage != nil {
		n = c.Usage.PromptTokens
	}
	return marshal(map[string]int{"input_tokens": n}), nil
}

// fromAnthropic reports whether the client is Anthropic's, whose lists of models
// are at the same paths as OpenAI's.
func fromAnthropic(r *http.Request) bool { return r.Header.Get("Anthropic-Version") != "" }

// anthropicModel is a model as Anthropic's lists have it (its API reference,
// "Models").
type anthropicModel struct {
	Type      string    `json:"type"`
	ID        string    `json:"id"`
	Name      string    `json:"display_name"`
	CreatedAt time.Time `json:"created_at"`
}

func (m model) anthropic() anthropicModel {
	return anthropicModel{"model", m.ID, m.ID, time.Unix(m.Created, 0).UTC()}
}

// anthropicModels is the list, all of it on one page.
func anthropicModels(list []model) map[string]any {
	data := make([]anthropicModel, len(list))
	for i, m := range list {
		data[i] = m.anthropic()
	}
	page := map[string]any{"data": data, "has_more": false, "first_id": nil, "last_id": nil}
	if len(data) > 0 {
		page["first_id"], page["last_id"] = data[0].ID, data[len(data)-1].ID
	}
	return page
}
