package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestARequestIsPassedOnUntouched(t *testing.T) {
	f := newFarm(t)
	f.add("w", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Engine", "yes")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.WriteHeader(http.StatusTeapot)
		came := fmt.Sprintf("%s %s %s %s|%s|%s", r.Method, r.URL, r.Host, body, r.Header.Get("X-Mine"), r.Header.Get("Authorization")+r.Header.Get("X-Api-Key")+r.Header.Get("Cookie")+r.Header.Get("Origin"))
		fmt.Fprintf(w, `{"error":{"message":%q}}`, came)
	})
	const body = ` {"model":"bee", "tools":[{"x":1.0}],"unknown":"é\u00e9"} `
	secret := []string{"secret"}
	status, h, text := f.send(http.MethodPost, "/v1/chat/completions?a=b", body, http.Header{
		"X-Mine": {"mine"}, "Authorization": secret, "X-Api-Key": secret, "Cookie": secret, "Origin": secret,
	})
	if want := fmt.Sprintf(`{"error":{"message":%q}}`, "POST /v1/chat/completions?a=b localhost "+body+"|mine|"); text != want || status != http.StatusTeapot {
		t.Errorf("passed on as %d %q, want %q", status, text, want)
	}
	if h.Get("X-Engine") != "yes" || h.Get("Access-Control-Allow-Origin") != "" || h.Get("X-Rbee-Worker") != "w" || h.Get("X-Rbee-Hive") != "gpu1" {
		t.Errorf("headers %v", h)
	}
}

func TestAStreamArrivesAsItComes(t *testing.T) {
	f := newFarm(t)
	next := make(chan struct{})
	f.add("w", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	})
	answer, err := f.open(t.Context(), http.MethodPost, "/v1/completions", streamed, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for i := range 3 {
		if lines.Scan(); lines.Text() != fmt.Sprintf("data: %d", i) {
			t.Errorf("line %d is %q", i, lines.Text())
		}
		lines.Scan()
		next <- struct{}{}
	}
	if lines.Scan(); lines.Text() != "data: [DONE]" {
		t.Errorf("the last line is %q", lines.Text())
	}
}

func TestAnEngineWithoutTheRouteIsToldOfInOpenAIsWords(t *testing.T) {
	for name, tt := range map[string]struct{ says, want string }{
		"in words of its own": {`{"detail":"Not Found"}`, `the model's engine has no /v1/rerank`},
		"in OpenAI's":         {`{"error":{"message":"no such thing"}}`, `{"error":{"message":"no such thing"}}`},
	} {
		f := newFarm(t)
		f.add("w", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, tt.says)
		})
		status, _, text := f.ask("/v1/rerank", `{"model":"bee"}`)
		var e failure
		if err := json.Unmarshal([]byte(text), &e); err != nil || status != 404 || e.Error.Message == "" || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	f := newFarm(t)
	if status, _, text := f.ask("/v1/images/generations", `{"model":"bee"}`); status != 404 || !strings.Contains(text, `"rbee has no /v1/images/generations`) {
		t.Errorf("images: %d %s", status, text)
	}
}

func TestAClientThatGoesEndsTheWorkersRequest(t *testing.T) {
	f := newFarm(t)
	began, ended := make(chan struct{}), make(chan struct{})
	f.add("w", func(w http.ResponseWriter, r *http.Request) {
		events("hello")(w, r)
		close(began)
		<-r.Context().Done()
		close(ended)
	})
	ctx, cancel := context.WithCancel(t.Context())
	answer, err := f.open(ctx, http.MethodPost, "/v1/completions", streamed, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	<-began
	cancel()
	<-ended
}

func TestWhatTheGatewayItselfRefuses(t *testing.T) {
	f := newFarm(t)
	f.add("w", events("[DONE]"))
	for _, tt := range []struct {
		name, body string
		status     int
		says       string
	}{
		{"no JSON", "hello", 400, "not a JSON object"},
		{"a model that is no text", `{"model":7}`, 400, "model must be a text"},
		{"an unknown model", `{"model":"beee"}`, 404, `did you mean \"bee\"?`},
		{"a model whose file is broken", `{"model":"broken"}`, 404, "model_not_found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, h, text := f.ask("/v1/chat/completions", tt.body)
			var e failure
			if err := json.Unmarshal([]byte(text), &e); err != nil || e.Error.Type != "invalid_request_error" || h.Get("Content-Type") != "application/json" {
				t.Errorf("not of OpenAI's shape: %s", text)
			}
			if status != tt.status || !strings.Contains(text, tt.says) {
				t.Errorf("%d %s, want %d %q", status, text, tt.status, tt.says)
			}
		})
	}
}
