package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

// visitor is a guest who may use one model, and remembers what was used.
type visitor struct {
	model   string
	forgets bool // remembers nothing, in a benchmark

	mu       sync.Mutex
	used     []Use
	reserved []int
	refused  int           // requests that were
	refuses  error         // to reserve anything
	counted  chan struct{} // is told of each use, unless it is nil
}

func (v *visitor) Reserve(tokens int) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.refuses == nil && !v.forgets {
		v.reserved = append(v.reserved, tokens)
	}
	return v.refuses
}

func (v *visitor) Refused() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.refused++
}

func (v *visitor) May(model string) error {
	if model != v.model {
		return ops.Errorf(ops.CodeDenied, "not %q", model)
	}
	return nil
}

func (v *visitor) Told(err error) error {
	if e := ops.AsError(err); e != nil && strings.Contains(e.Hint, "wasp") {
		return e.WithHint("not told")
	}
	return err
}

func (v *visitor) Words(text string) string { return strings.ReplaceAll(text, "wasp", "another") }

func (v *visitor) Used(u Use) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.forgets {
		return
	}
	u.Took = 0
	v.used = append(v.used, u)
	if v.counted != nil {
		v.counted <- struct{}{}
	}
}

// last is what was used last.
func (v *visitor) last(t *testing.T) Use {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.used) == 0 {
		t.Fatal("nothing was counted")
	}
	return v.used[len(v.used)-1]
}

// visit lets all requests to the farm be v's.
func (f *farm) visit(v *visitor) {
	f.t.Helper()
	g := New(f, f.schedule)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.ServeHTTP(w, r.WithContext(WithGuest(r.Context(), v)))
	}))
	f.front.Close()
	f.front = front
	f.t.Cleanup(g.Close)
}

// says answers with one text.
func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	}
}

func TestTokensAreCountedAsTheEngineTellsThem(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for name, tt := range map[string]struct {
		engine http.HandlerFunc
		body   string
		want   Use
	}{
		"in one piece": {
			says(`{"choices":[{"message":{"content":"` + long + `"}}],"usage":{"prompt_tokens": 5,"completion_tokens": 17,"total_tokens":22}}`), `{"model":"bee"}`,
			Use{Model: "bee", TokensIn: 5, TokensOut: 17},
		},
		"at the beginning, as llama.cpp counts embeddings": {
			says(`{"model":"bee","object":"list","usage":{"prompt_tokens":9,"total_tokens":9},"data":[{"embedding":[` + strings.Repeat("0.5,", 2000) + `1]}]}`), `{"model":"bee"}`,
			Use{Model: "bee", TokensIn: 9},
		},
		"in a stream that was asked to": {
			events(`{"choices":[{"delta":{"content":"a"}}]}`, `{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}`, "[DONE]"), streamed,
			Use{Model: "bee", TokensIn: 3, TokensOut: 1},
		},
		"in a stream of llama.cpp's": {
			events(`{"choices":[{"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{},"finish_reason":"stop"}],"timings":{"cache_n":30,"prompt_n":4,"prompt_ms":1.5,"predicted_n":2}}`, "[DONE]"), streamed,
			Use{Model: "bee", TokensIn: 34, TokensOut: 2},
		},
		"by the responses API": {
			events(`{"type":"response.completed","response":{"usage":{"input_tokens":8,"output_tokens":6,"total_tokens":14}}}`), streamed,
			Use{Model: "bee", TokensIn: 8, TokensOut: 6},
		},
		"not by what a text says": {
			says(`{"choices":[{"message":{"content":"\"prompt_tokens\":900,\"completion_tokens\":900 and more"}}]}`), `{"model":"bee"}`,
			Use{Model: "bee", TokensIn: 15 / 4, TokensOut: 96 / 4, Estimated: true},
		},
		"not at all, in a stream": {
			events(`{"choices":[{"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{"content":"b"}}]}`, "[DONE]"), streamed,
			Use{Model: "bee", TokensIn: len(streamed) / 4, TokensOut: 3, Estimated: true},
		},
		"an error": {
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }, `{"model":"bee"}`,
			Use{Model: "bee", Failed: true},
		},
		"an error in place of a stream": {
			events(`{"error":{"message":"out of memory"}}`), streamed,
			Use{Model: "bee", Failed: true},
		},
		"a stream that breaks off": {
			events(`{"choices":[{"delta":{"content":"a"}}],"timings":{"prompt_n":4,"predicted_n":1}}`, "BREAK"), streamed,
			Use{Model: "bee", TokensIn: 4, TokensOut: 1, Failed: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			f.add("w", tt.engine)
			v := &visitor{model: "bee"}
			f.visit(v)
			path := map[string]string{"by the responses API": "/v1/responses", "at the beginning, as llama.cpp counts embeddings": "/v1/embeddings"}[name]
			f.ask(cmp.Or(path, "/v1/chat/completions"), tt.body)
			if got := v.last(t); got != tt.want {
				t.Errorf("counted %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestTranslatedAnswersAreCountedToo(t *testing.T) {
	f := newFarm(t)
	f.add("w", says(`{"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}`))
	v := &visitor{model: "bee"}
	f.visit(v)
	f.ask("/v1/messages", `{"model":"bee","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}`)
	f.ask("/api/chat", `{"model":"bee","stream":false,"messages":[{"role":"user","content":"hi"}]}`)
	for _, got := range v.used {
		if got != (Use{Model: "bee", TokensIn: 5, TokensOut: 2}) {
			t.Errorf("counted %+v", got)
		}
	}
	if len(v.used) != 2 {
		t.Errorf("counted %d answers, want 2", len(v.used))
	}
}

func TestAnUnknownModelIsCountedWithoutItsName(t *testing.T) {
	for _, model := range []string{"nothing", "hf:nobody/nothing"} {
		for _, stream := range []string{"true", "false"} {
			f := newFarm(t)
			f.bring = func(ctx context.Context, reference string) (ops.Model, error) {
				ops.Narrate(ctx, "model_download", "looking for %s", reference)
				return ops.Model{}, ops.Errorf(ops.CodeUnavailable, "the Hub is not reached")
			}
			v := &visitor{model: model}
			f.visit(v)
			f.ask("/v1/chat/completions", `{"model":"`+model+`","stream":`+stream+`}`)
			if got := v.last(t); got != (Use{Failed: true}) {
				t.Errorf("%s, stream %s: counted %+v", model, stream, got)
			}
		}
	}
}

// TestAModelIsCountedByItsOwnName: whatever it was called by, and once it is known
// also where nobody answers.
func TestAModelIsCountedByItsOwnName(t *testing.T) {
	answer := events(`{"choices":[{"delta":{"content":"a"}}],"timings":{"prompt_n":4,"predicted_n":1}}`, "[DONE]")
	for model, want := range map[string]Use{
		"hf:bees/bee": {Model: "bee", TokensIn: 4, TokensOut: 1}, "hf:bees/two": {Model: "bee", TokensIn: 4, TokensOut: 1},
		"fast": {Model: "bee", TokensIn: 4, TokensOut: 1}, "hf:bees/ant": {Model: "ant", Failed: true},
	} {
		f := newFarm(t)
		f.add("w", answer)
		f.aliases = map[string]string{"fast": "hf:bees/bee"}
		f.bring = func(ctx context.Context, reference string) (ops.Model, error) {
			ops.Narrate(ctx, "model_download", "bringing %s", reference)
			if reference == "hf:bees/ant" {
				return ops.Model{ID: "ant"}, nil // which no hive can run
			}
			return ops.Model{ID: "bee"}, nil
		}
		may := model
		if model == "fast" {
			may = "hf:bees/bee"
		}
		v := &visitor{model: may}
		f.visit(v)
		f.ask("/v1/chat/completions", `{"model":"`+model+`","stream":true}`)
		if got := v.last(t); got != want {
			t.Errorf("%s: counted %+v, want %+v", model, got, want)
		}
	}
}

func TestARequestThatNamesNoModelIsCountedForTheOneThatAnswers(t *testing.T) {
	const answer = `{"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}`
	for path, body := range map[string]string{
		"/v1/chat/completions": `{"messages":[]}`,
		"/v1/messages":         `{"max_tokens":5,"messages":[{"role":"user","content":"hi"}]}`,
		"/api/chat":            `{"stream":false,"messages":[{"role":"user","content":"hi"}]}`,
	} {
		f := newFarm(t)
		f.add("w", says(answer))
		v := &visitor{model: ""}
		f.visit(v)
		_, header, _ := f.ask(path, body)
		if got := v.last(t); got != (Use{Model: "bee", TokensIn: 5, TokensOut: 2}) {
			t.Errorf("%s: counted %+v", path, got)
		}
		if got := header.Get(ModelHeader); got != "bee" {
			t.Errorf("%s: the answer says it is of the model %q", path, got)
		}
	}
}

func TestWhatARequestMayUseIsReservedBeforeIt(t *testing.T) {
	long := strings.Repeat("x", 4000)
	for _, tt := range []struct {
		path, body string
		least      int
		most       int
	}{
		{"/v1/chat/completions", `{"model":"bee","max_tokens":100}`, 100, 120},
		{"/v1/chat/completions", `{"model":"bee","max_completion_tokens":100,"n":3}`, 300, 330},
		{"/v1/chat/completions", `{"model":"bee","max_tokens":-5,"n":"many"}`, UsualAnswer, UsualAnswer + 20},
		{"/v1/chat/completions", `{"model":"bee","max_tokens":99999999999999,"n":99999999999999}`, mostTokens, mostTokens},
		{"/v1/completions", `{"model":"bee","prompt":"` + long + `"}`, 1000 + UsualAnswer, 1020 + UsualAnswer},
		{"/v1/responses", `{"model":"bee","max_output_tokens":7}`, 7, 30},
		{"/v1/embeddings", `{"model":"bee","input":"` + long + `"}`, 1000, 1020},
		{"/v1/messages", `{"model":"bee","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}`, 50, 80},
		{"/api/chat", `{"model":"bee","stream":false,"options":{"num_predict":60},"messages":[{"role":"user","content":"hi"}]}`, 60, 90},
	} {
		f := newFarm(t)
		f.add("w", says(`{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":5,"completion_tokens":2}}`))
		v := &visitor{model: "bee"}
		f.visit(v)
		f.ask(tt.path, tt.body)
		if len(v.reserved) != 1 || v.reserved[0] < tt.least || v.reserved[0] > tt.most {
			t.Errorf("%s %.60s: reserved %d, want one of %d to %d", tt.path, tt.body, v.reserved, tt.least, tt.most)
		}
	}
}

func TestWhoHasNothingLeftIsToldWhenToAskAgain(t *testing.T) {
	f := newFarm(t)
	f.add("w", func(http.ResponseWriter, *http.Request) { t.Error("a worker was asked") })
	v := &visitor{model: "bee", refuses: LaterError{Err: ops.Errorf(ops.CodeBusy, "all used up"), After: 1500 * time.Millisecond}}
	f.visit(v)
	for path, body := range map[string]string{
		"/v1/chat/completions": streamed,
		"/v1/messages":         `{"model":"bee","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}`,
		"/api/chat":            `{"model":"bee","messages":[{"role":"user","content":"hi"}]}`,
	} {
		status, header, text := f.ask(path, body)
		if status != http.StatusTooManyRequests || header.Get("Retry-After") != "2" || !strings.Contains(text, "all used up") || strings.HasPrefix(path, "/v1/chat") && !strings.Contains(text, `"type":"tokens"`) {
			t.Errorf("%s: %d, Retry-After %q: %s", path, status, header.Get("Retry-After"), text)
		}
	}
	if len(v.used) > 0 {
		t.Errorf("counted %+v", v.used)
	}
}

func TestAGuestSeesAndUsesItsModelsOnly(t *testing.T) {
	f := newFarm(t)
	f.models = append(f.models, ops.Model{ID: "wasp"})
	f.add("w", says(`{}`))
	f.visit(&visitor{model: "wasp"})
	for path, body := range map[string]string{
		"/v1/chat/completions": `{"model":"bee"}`, "/v1/embeddings": `{"input":"a"}`,
		"/v1/messages": `{"model":"bee","max_tokens":1,"messages":[{"role":"user","content":"a"}]}`, "/api/generate": `{"model":"bee","prompt":"a"}`,
	} {
		if status, _, text := f.ask(path, body); status != http.StatusForbidden {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	for _, path := range []string{"/v1/models", "/api/tags"} {
		if _, _, text := f.send(http.MethodGet, path, "", nil); !strings.Contains(text, `"wasp`) || strings.Contains(text, `"bee`) {
			t.Errorf("%s: %s", path, text)
		}
	}
}

func TestARefusalIsInTheWordsOfTheAPIThatWasAsked(t *testing.T) {
	e := ops.Errorf(ops.CodeDenied, "no key").WithHint("make one")
	for _, tt := range []struct {
		path   string
		status int
		want   string
	}{
		{"/v1/chat/completions", 401, `{"error":{"message":"no key (make one)","type":"invalid_request_error","param":null,"code":"invalid_api_key","hint":"make one"}}`},
		{"/v1/chat/completions", 429, `{"error":{"message":"no key (make one)","type":"requests","param":null,"code":"rate_limit_exceeded","hint":"make one"}}`},
		{"/v1/chat/completions", 403, `{"error":{"message":"no key (make one)","type":"invalid_request_error","param":null,"code":"denied","hint":"make one"}}`},
		{"/v1/messages", 401, `{"error":{"message":"no key (make one)","type":"authentication_error"},"type":"error"}`},
		{"/v1/messages", 403, `{"error":{"message":"no key (make one)","type":"permission_error"},"type":"error"}`},
		{"/v1/messages", 429, `{"error":{"message":"no key (make one)","type":"rate_limit_error"},"type":"error"}`},
		{"/api/chat", 401, `{"error":"no key (make one)"}`},
	} {
		t.Run(fmt.Sprint(tt.path, tt.status), func(t *testing.T) {
			w := httptest.NewRecorder()
			Refuse(w, httptest.NewRequest(http.MethodPost, tt.path, nil), tt.status, e)
			if got := w.Body.String(); got != tt.want || w.Code != tt.status || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%d %s, want %s", w.Code, got, tt.want)
			}
		})
	}
}

// FuzzCounts feeds the end of answers: whatever comes, cut wherever, the same is
// counted, and nothing that is not there.
func FuzzCounts(f *testing.F) {
	for _, text := range []string{
		`{"usage":{"prompt_tokens": 5,"completion_tokens":17}}`, `"input_tokens":`, `"prompt_n":9999999999999999999999`, `{"timings":{"cache_n":1,"prompt_n":2,"predicted_n":3}}`, "data: [DONE]\n\n",
	} {
		f.Add([]byte(text), 7)
	}
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		if in, out, told := counts(text); in < 0 || out < 0 || !told && in+out > 0 {
			t.Fatalf("counted %d, %d, %t", in, out, told)
		}
		if len(text) == 0 || text[0] == ':' {
			return
		}
		whole := &meter{ResponseWriter: httptest.NewRecorder()}
		_, _ = whole.Write(text)
		parts := &meter{ResponseWriter: httptest.NewRecorder()}
		at := min(max(cut, 1), len(text))
		_, _ = parts.Write(text[:at])
		if rest := text[at:]; len(rest) > 0 && rest[0] != ':' {
			_, _ = parts.Write(rest)
			if string(whole.head) != string(parts.head) || string(whole.tail) != string(parts.tail) || whole.bytes != parts.bytes {
				t.Fatalf("cut at %d it is seen as another answer", at)
			}
		}
	})
}

func TestWhoGoesAwayHasNotMetAnError(t *testing.T) {
	for name, begin := range map[string]http.HandlerFunc{
		"before the first byte": func(http.ResponseWriter, *http.Request) {},
		"in a stream":           func(w http.ResponseWriter, r *http.Request) { events(`{"choices":[{"delta":{"content":"a"}}]}`)(w, r) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			began := make(chan struct{})
			f.add("w", func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.ReadAll(r.Body)
				begin(w, r)
				close(began)
				<-r.Context().Done()
			})
			v := &visitor{model: "bee", counted: make(chan struct{}, 1)}
			f.visit(v)
			ctx, leave := context.WithCancel(t.Context())
			go func() {
				<-began
				leave()
			}()
			if answer, err := f.open(ctx, http.MethodPost, "/v1/chat/completions", streamed, nil); err == nil {
				_, _ = io.ReadAll(answer.Body)
				_ = answer.Body.Close()
			}
			<-v.counted
			if got := v.last(t); got.Failed {
				t.Errorf("counted %+v", got)
			}
		})
	}
}

func TestWhatIsRefusedAtOnceDoesNotCountForAGuest(t *testing.T) {
	f := newFarm(t)
	f.add("w", events("hello", "[DONE]"))
	v := &visitor{model: "bee"}
	f.visit(v)
	for _, body := range []string{`{"model":"wasp"}`, "nonsense"} {
		if status, _, text := f.ask("/v1/completions", body); status != 403 && status != 400 {
			t.Errorf("%d %s", status, text)
		}
	}
	v.mu.Lock()
	v.refuses = LaterError{Err: errors.New("no tokens are left"), After: time.Second}
	v.mu.Unlock()
	_, _, _ = f.ask("/v1/completions", streamed)
	v.mu.Lock()
	v.refuses = nil
	v.mu.Unlock()
	_, _, _ = f.ask("/v1/completions", streamed)
	if v.refused != 3 || len(v.used) != 1 {
		t.Errorf("%d were refused, %d have used something", v.refused, len(v.used))
	}
}
