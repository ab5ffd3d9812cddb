package gateway

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"rbee.dev/rbee/ops"
)

// over is what is remembered of a request once it is answered.
func (f *farm) over(header http.Header) ops.Explanation {
	f.t.Helper()
	f.gateway.Settle(f.t.Context())
	x, err := f.schedule.Explain(header.Get(JobHeader))
	if err != nil {
		f.t.Fatal(err)
	}
	return x
}

func TestHowAnAnswerEndedIsExplained(t *testing.T) {
	var asked atomic.Int32
	for name, tt := range map[string]struct {
		path, body string
		h          http.HandlerFunc
		ended      ops.Ended
		why        string
	}{
		"whole":                    {"/v1/completions", streamed, events("hello", "[DONE]"), ops.EndedDone, ""},
		"in one piece":             {"/v1/completions", `{"model":"bee"}`, says(`{"choices":[{"text":"hello"}]}`), ops.EndedDone, ""},
		"translated":               {"/api/generate", `{"model":"bee","prompt":"a"}`, events(`{"choices":[{"text":"hello","finish_reason":"stop"}]}`, "[DONE]"), ops.EndedDone, ""},
		"broken off":               {"/v1/completions", streamed, events("hello", "BREAK"), ops.EndedBroken, "worker w of gpu1, which runs bee: it broke its answer off"},
		"broken off, in one piece": {"/v1/completions", `{"model":"bee"}`, short, ops.EndedBroken, "worker w of gpu1, which runs bee: it broke its answer off"},
		"by the engine's error": {
			"/v1/completions", streamed, events("hello", `{"error":{"message":"out of memory"}}`, "[DONE]"),
			ops.EndedBroken, "worker w of gpu1, which runs bee: out of memory",
		},
		"by an error of the request's": {
			"/v1/completions", streamed, events("hello", `{"error":{"message":"too long","code":400}}`, "[DONE]"),
			ops.EndedBroken, "the engine ended its answer with an error: too long",
		},
		"by an error that is long": {
			"/v1/completions", streamed, events("hello", `{"error":{"message":"`+strings.Repeat("x", 2*tailKept)+`","a":{"error":{}}}}`),
			ops.EndedBroken, "worker w of gpu1, which runs bee: xxxx",
		},
		"in the responses API":  {"/v1/responses", streamed, bytesOf("event: response.failed\ndata: {}\n\n"), ops.EndedBroken, "the engine ended its answer with an error"},
		"refused by the engine": {"/v1/completions", streamed, boom(&asked, 422, `{"detail":"bad"}`), ops.EndedFailed, "bad"},
		"failed by the engine":  {"/v1/completions", streamed, boom(&asked, 500, `{"error":{"message":"boom"}}`), ops.EndedFailed, "worker w of gpu1, which runs bee: boom"},
		"no such model":         {"/v1/completions", `{"model":"wasp"}`, says("{}"), ops.EndedFailed, `there is no model "wasp" on any hive`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			f.add("w", tt.h)
			answer, err := f.open(t.Context(), http.MethodPost, tt.path, tt.body, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			_, _ = io.Copy(io.Discard, answer.Body) // it may break off
			if x := f.over(answer.Header); x.Ended != tt.ended || !strings.HasPrefix(x.Error, tt.why) || tt.why == "" && x.Error != "" {
				t.Errorf("%q because of %q, want %q, %q", x.Ended, x.Error, tt.ended, tt.why)
			}
		})
	}
}

// short promises more than it says, which is too much to be kept.
func short(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000000")
	_, _ = io.WriteString(w, `{"x":"`+strings.Repeat("x", 2*maxKept))
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func TestAnAnswerThatWentOnElsewhereIsDone(t *testing.T) {
	f := newFarm(t)
	var asked atomic.Int32
	answer := func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			events(append(chunks("1", "Once"), "BREAK")...)(w, r)
			return
		}
		events(append(chunks("2", "Once", " upon"), finish, "[DONE]")...)(w, r)
	}
	f.add("a", answer)
	f.add("b", answer)
	answerOf, err := f.open(t.Context(), http.MethodPost, "/v1/chat/completions", greedy, http.Header{ResumeHeader: {"true"}})
	if err != nil {
		t.Fatal(err)
	}
	defer answerOf.Body.Close()
	text, err := io.ReadAll(answerOf.Body)
	if err != nil || !strings.HasSuffix(string(text), "data: [DONE]\n\n") {
		t.Fatalf("%s, %v", text, err)
	}
	x := f.over(answerOf.Header)
	if x.Ended != ops.EndedDone || x.Error != "" || len(x.Decisions) != 2 || !strings.Contains(x.Decisions[0].Failed, "broke its answer off") {
		t.Errorf("%+v", x)
	}
}

func TestAClientThatWentAwayIsExplained(t *testing.T) {
	f := newFarm(t)
	f.aliases = map[string]string{"fast": "bee"}
	began := make(chan struct{})
	f.add("w", func(w http.ResponseWriter, r *http.Request) {
		events("hello")(w, r)
		close(began)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	answer, err := f.open(ctx, http.MethodPost, "/v1/completions", `{"model":"fast","stream":true}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	<-began
	cancel()
	if x := f.over(answer.Header); x.Ended != ops.EndedGone || x.Error != "" || x.Model != "bee" || x.Alias != "fast" {
		t.Errorf("%+v", x)
	}
}

func TestAClientThatLeavesWithTheLastEventHasTheWholeAnswer(t *testing.T) {
	f := newFarm(t)
	f.add("w", func(w http.ResponseWriter, r *http.Request) {
		events(append(chunks("1", "Once"), finish, "[DONE]")...)(w, r)
		<-r.Context().Done()
	})
	for _, again := range []string{"", "true"} {
		ctx, cancel := context.WithCancel(t.Context())
		answer, err := f.open(ctx, http.MethodPost, "/v1/chat/completions", greedy, http.Header{ResumeHeader: {again}})
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(answer.Body); lines.Scan() && lines.Text() != "data: [DONE]"; {
		}
		cancel()
		_ = answer.Body.Close()
		if x := f.over(answer.Header); x.Ended != ops.EndedDone || x.Error != "" {
			t.Errorf("resume %q: %+v", again, x)
		}
	}
}
