package gateway

import (
	"net/http"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

const (
	chatImage      = `"messages":[{"role":"user","content":[{"type":"text","text":"what?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}}]}]`
	responsesImage = `"input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,aGk="}]}]`
	anthropicImage = `"max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}}]}]`
	ollamaImage    = `"messages":[{"role":"user","content":"what?","images":["aGk="]}]`
)

// withAbilities is a farm with a worker of bee, which can do that.
func withAbilities(t *testing.T, engine string, can ...ops.Ability) (f *farm, asked *string) {
	t.Helper()
	f = newFarm(t)
	f.models = append(f.models, ops.Model{ID: "bee", HiveID: "gpu2", Abilities: can})
	f.aliases = map[string]string{"fast": "bee"}
	asked = f.told(`{"id":"1","choices":[{"message":{"content":"so"},"finish_reason":"stop"}]}`, false)
	f.mu.Lock()
	f.workers[0].Engine = engine
	f.mu.Unlock()
	f.tell()
	return f, asked
}

func TestImagesForAModelThatTakesNoneAreTheRequestsFault(t *testing.T) {
	for path, body := range map[string]string{
		"/v1/chat/completions": chatImage, "/v1/responses": responsesImage, "/v1/messages": anthropicImage, "/api/chat": ollamaImage,
		"/api/generate": `"prompt":"what?","images":["aGk="]`,
	} {
		for _, name := range []string{"bee", "fast"} {
			f, asked := withAbilities(t, "llamacpp", ops.AbilityCompletion)
			status, header, text := f.ask(path, `{"model":"`+name+`","stream":false,`+body+`}`)
			if status != http.StatusBadRequest || !strings.Contains(text, `\"bee\" takes no images`) || *asked != "" {
				t.Errorf("%s of %s: %d %s; asked %s", path, name, status, text, *asked)
			}
			if x := f.over(header); x.Ended != ops.EndedFailed || !strings.Contains(x.Error, "takes no images") {
				t.Errorf("%s is explained by %+v", path, x)
			}
		}
	}
}

func TestWhatMayTakeImagesIsAsked(t *testing.T) {
	plain, sees := []ops.Ability{ops.AbilityCompletion}, []ops.Ability{ops.AbilityCompletion, ops.AbilityVision}
	for name, tt := range map[string]struct {
		engine string
		can    []ops.Ability
		body   string
	}{
		"one with a projector":           {"llamacpp", sees, chatImage},
		"one of which nobody knows":      {"llamacpp", nil, chatImage},
		"a command of a person's":        {"command", plain, chatImage},
		"no image, but the word":         {"llamacpp", plain, `"messages":[{"role":"user","content":"image_url"}]`},
		"no image, but the word in JSON": {"llamacpp", plain, `"messages":[{"role":"user","content":[{"type":"text","text":"{\"type\":\"image_url\"}"}]}]`},
		"no image, but a tool for one":   {"llamacpp", plain, `"messages":[{"role":"user","content":"x"}],"tools":[{"function":{"parameters":{"properties":{"image_url":{}}}}}]`},
		"what the engine says is wrong":  {"llamacpp", plain, `"messages":{"type":"image_url"}`},
	} {
		f, asked := withAbilities(t, tt.engine, tt.can...)
		if status, _, text := f.ask("/v1/chat/completions", `{"model":"bee",`+tt.body+`}`); status != http.StatusOK || *asked == "" {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
}
