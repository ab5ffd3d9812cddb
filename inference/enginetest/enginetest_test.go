package enginetest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/enginetest"
	"rbee.dev/rbee/inference/openai"
)

func open(t *testing.T, o enginetest.Options) *enginetest.Engine {
	t.Helper()
	e, err := enginetest.Open(t.Context(), inference.Spec{ModelID: "fake"}, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func generate(ctx context.Context, e *enginetest.Engine, prompt string, most int) (string, openai.Outcome, error) {
	var b strings.Builder
	outcome, err := e.Generate(ctx, openai.Request{Prompt: prompt, MaxTokens: most}, func(s string) error {
		b.WriteString(s)
		return nil
	})
	return b.String(), outcome, err
}

func TestAnswersHaveAsManyPiecesAsAskedFor(t *testing.T) {
	for _, c := range []struct {
		name   string
		most   int
		want   int
		finish string
	}{
		{"as many as the engine has", 0, 16, openai.FinishStop},
		{"fewer", 3, 3, openai.FinishLength},
		{"no more than the engine has", 99, 16, openai.FinishStop},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, outcome, err := generate(t.Context(), open(t, enginetest.Options{}), "hello there", c.most)
			if err != nil || text != enginetest.Text(c.want) {
				t.Fatalf("got %q and %v, want %d pieces", text, err, c.want)
			}
			want := openai.Outcome{Finish: c.finish, PromptTokens: 2, CompletionTokens: c.want}
			if outcome != want {
				t.Errorf("outcome is %+v, want %+v", outcome, want)
			}
		})
	}
}

func TestAnEngineMisbehavesInTheMiddleWhenAskedTo(t *testing.T) {
	exited := 0
	e := open(t, enginetest.Options{Exit: func(code int) { exited = code }})
	text, _, err := generate(t.Context(), e, "please "+enginetest.WordFail, 4)
	if err == nil || text != enginetest.Text(2) {
		t.Errorf("a failing answer gave %q and %v", text, err)
	}
	if _, _, err := generate(t.Context(), e, enginetest.WordDie, 4); err != nil || exited != 3 {
		t.Errorf("a dying engine exited with %d and %v", exited, err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("it did not panic")
			}
		}()
		_, _, _ = generate(t.Context(), e, enginetest.WordPanic, 4)
	}()
}

func TestARequestGivenUpIsCounted(t *testing.T) {
	e := open(t, enginetest.Options{Pace: time.Hour})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("nobody wants it")
	time.AfterFunc(time.Millisecond, func() { cancel(why) })
	if _, _, err := generate(ctx, e, "slow", 4); !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
	if e.Cancelled() != 1 {
		t.Errorf("%d requests were given up, want 1", e.Cancelled())
	}
}

func TestLoadingCanFail(t *testing.T) {
	why := errors.New("no such tensor")
	if _, err := enginetest.Open(t.Context(), inference.Spec{}, enginetest.Options{LoadError: why}); !errors.Is(err, why) {
		t.Errorf("got %v, want %v", err, why)
	}
}

func TestTheEngineSpeaksOpenAIsDialect(t *testing.T) {
	e := open(t, enginetest.Options{})
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/completions", strings.NewReader(`{"prompt":"x","max_tokens":2,"stream":true}`)))
	if !strings.Contains(w.Body.String(), `"text":"w1 "`) || !strings.HasSuffix(w.Body.String(), "data: [DONE]\n\n") {
		t.Errorf("got %s", w.Body)
	}
}
