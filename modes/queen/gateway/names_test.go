package gateway

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestAnAliasIsTakenInEveryDialectAndTheEngineSeesTheModel(t *testing.T) {
	for _, tt := range []struct{ path, body string }{
		{"/v1/chat/completions", ` {"messages":[{"role":"user","content":"é"}], "model" : "fast" ,"x":1}`},
		{"/v1/completions", `{"model":"fast","prompt":"x"}`},
		{"/v1/embeddings", `{"model":"bee","model":"fast","input":"x"}`},
		{"/v1/embeddings", `{"model":"fast:latest","input":"x"}`},
		{"/v1/embeddings", `{"model":"bee:latest","input":"x"}`},
		{"/v1/messages", `{"model":"fast","max_tokens":3,"messages":[{"role":"user","content":"x"}]}`},
		{"/api/chat", `{"model":"fast:latest","stream":false,"messages":[{"role":"user","content":"x"}]}`},
		{"/api/generate", `{"model":"fast","stream":false,"prompt":"x"}`},
		{"/api/embed", `{"model":"fast","input":"x"}`},
	} {
		t.Run(tt.path, func(t *testing.T) {
			f := newFarm(t)
			f.aliases = map[string]string{"fast": "bee"}
			body := f.told(`{"choices":[{}],"data":[]}`, false)
			if status, _, text := f.ask(tt.path, tt.body); status != 200 {
				t.Fatalf("%d %s", status, text)
			}
			_, text, _ := strings.Cut(*body, " ")
			var got struct{ Model string }
			if err := json.Unmarshal([]byte(text), &got); err != nil || got.Model != "bee" {
				t.Errorf("the engine is given %s, %v", text, err)
			}
			if want := strings.Replace(tt.body, `"fast"`, `"bee"`, 1); strings.HasPrefix(tt.path, "/v1/c") && text != want {
				t.Errorf("passed on is %s, want %s", text, want)
			}
		})
	}
}

// TestAnAliasMayHaveOllamasTag: it is taken as it was given, and listed so.
func TestAnAliasMayHaveOllamasTag(t *testing.T) {
	f := newFarm(t)
	f.aliases = map[string]string{"gpt-4o:latest": "bee"}
	f.models[0].Aliases = []string{"gpt-4o:latest"}
	f.told(`{"choices":[{}],"data":[]}`, false)
	for path, body := range map[string]string{
		"/api/chat": `"stream":false,"messages":[{"role":"user","content":"x"}]`, "/api/generate": `"stream":false,"prompt":"x"`, "/api/embed": `"input":"x"`,
		"/api/show": `"verbose":false`, "/v1/chat/completions": `"messages":[{"role":"user","content":"x"}]`, "/v1/messages": `"max_tokens":3,"messages":[{"role":"user","content":"x"}]`,
	} {
		if status, _, text := f.ask(path, `{"model":"gpt-4o:latest",`+body+`}`); status != 200 {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	if _, _, text := f.send(http.MethodGet, "/api/tags", "", nil); !strings.Contains(text, `"name":"gpt-4o:latest"`) || strings.Contains(text, "latest:latest") {
		t.Errorf("they are listed as %s", text)
	}
}

func TestAModelsOwnNameComesBeforeAnAlias(t *testing.T) {
	f := newFarm(t)
	f.aliases = map[string]string{"bee": "ant"}
	body := f.told(`{"choices":[{}],"data":[]}`, false)
	if f.ask("/v1/completions", `{"model":"bee"}`); !strings.Contains(*body, `"bee"`) {
		t.Errorf("passed on is %s", *body)
	}
}

func TestAnUnknownModelIsToldTheNearestNames(t *testing.T) {
	f := newFarm(t)
	f.models = []ops.Model{{ID: "qwen3-0.6b", Aliases: []string{"quick"}}, {ID: "qwen3-0.8b"}, {ID: "tinybee"}}
	for name, want := range map[string]string{
		"qwen3-0.6":    `did you mean "qwen3-0.6b" or "qwen3-0.8b"?`,
		"quik":         `did you mean "quick"?`,
		"llama-3.3-70": `there are: quick, qwen3-0.6b, qwen3-0.8b, tinybee;`,
	} {
		status, _, text := f.ask("/v1/completions", `{"model":"`+name+`"}`)
		var e failure
		if err := json.Unmarshal([]byte(text), &e); err != nil || status != 404 || !strings.Contains(e.Error.Message, want) || e.Error.Code != "model_not_found" {
			t.Errorf("%s: %d %s, want %s", name, status, text, want)
		}
	}
	if _, _, text := f.send(http.MethodGet, "/v1/models", "", nil); !strings.Contains(text, `"id":"quick"`) {
		t.Errorf("listed are %s", text)
	}
	if status, _, text := f.send(http.MethodPost, "/api/show", `{"model":"quick"}`, nil); status != 200 {
		t.Errorf("shown is %s", text)
	}
}

func TestAModelThatIsBroughtIsToldOfAndAsked(t *testing.T) {
	f := newFarm(t)
	body := f.told("[DONE]", true)
	brought := 0
	f.bring = func(ctx context.Context, reference string) (ops.Model, error) {
		brought++
		ops.Narrate(ctx, "model_download", "bringing %s", reference)
		return ops.Model{ID: "bee", HiveID: "gpu1"}, nil
	}
	_, _, text := f.ask("/v1/completions", `{"model":"hf:bees/bee","stream":true}`)
	if !strings.HasPrefix(text, ": ") || !strings.Contains(text, "bringing hf:bees/bee") || !strings.Contains(text, "[DONE]") {
		t.Errorf("as a stream: %s", text)
	}
	if !strings.Contains(*body, `"model":"bee"`) {
		t.Errorf("the engine is given %s", *body)
	}
	f.ask("/api/generate", `{"model":"hf.co/bees/bee:Q4_K_M","prompt":"x"}`)
	if brought != 2 || !strings.Contains(*body, `"model":"bee"`) {
		t.Errorf("Ollama's way of naming it: %d, %s", brought, *body)
	}
}

func TestAModelThatCannotBeBroughtIsRefusedInTheDialect(t *testing.T) {
	f := newFarm(t)
	f.add("w", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	f.bring = func(context.Context, string) (ops.Model, error) {
		e := ops.Errorf(ops.CodeNotFound, "it is on no hive").WithHint("turn it on")
		e.Field = "model"
		return ops.Model{}, e
	}
	for path, want := range map[string]string{
		"/v1/completions": `"code":"model_not_found"`, "/v1/messages": `"type":"not_found_error"`, "/api/generate": `{"error":"it is on no hive (turn it on)"}`,
	} {
		if status, _, text := f.ask(path, `{"model":"hf:bees/bee","prompt":"x","max_tokens":3,"messages":[{"role":"user","content":"x"}]}`); status != 404 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

func TestAGuestMayUseTheAliasOfWhatItMayUse(t *testing.T) {
	f := newFarm(t)
	f.told(`{"choices":[{}],"data":[]}`, false)
	f.models = append(f.models, ops.Model{ID: "ant"})
	f.aliases = map[string]string{"fast": "bee", "slow": "ant", "far": "hf:bees/bee"}
	v := &visitor{model: "bee"}
	f.visit(v)
	for name, want := range map[string]int{"fast": 200, "slow": 403, "far": 403} {
		if status, _, text := f.ask("/v1/completions", `{"model":"`+name+`"}`); status != want {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if used := v.last(t); used.Model != "bee" {
		t.Errorf("counted is %+v", used)
	}
}
