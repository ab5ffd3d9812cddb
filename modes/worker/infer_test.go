package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rbee.dev/rbee/inference/enginetest"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

func TestAnAnswerComesTokenByTokenAndWhole(t *testing.T) {
	w := start(t, paced(enginetest.Options{Pieces: 5}))
	text, answer, err := infer(t, w.Client, ops.Infer{Prompt: "one two"})
	if err != nil {
		t.Fatal(err)
	}
	if text != enginetest.Text(5) {
		t.Errorf("the tokens say %q, want %q", text, enginetest.Text(5))
	}
	want := ops.Answer{
		Text: enginetest.Text(5), Model: "fake", HiveID: "localhost", WorkerID: "w1", FinishReason: "stop",
		PromptTokens: 3, CompletionTokens: 5, // "user:" counts too
	}
	if diff := cmp.Diff(want, answer, cmpopts.IgnoreFields(ops.Answer{}, "FirstTokenMS", "DurationMS")); diff != "" {
		t.Error(diff)
	}
	if answer.FirstTokenMS <= 0 || answer.DurationMS < answer.FirstTokenMS {
		t.Errorf("first token after %v ms, all after %v ms", answer.FirstTokenMS, answer.DurationMS)
	}
}

func TestWithoutStreamTheTextIsOnlyInTheResult(t *testing.T) {
	w := start(t, paced(enginetest.Options{Pieces: 5}))
	no := false
	text, answer, err := infer(t, w.Client, ops.Infer{Prompt: "x", Stream: &no})
	if err != nil || text != "" || answer.Text != enginetest.Text(5) {
		t.Errorf("tokens %q, answer %q, error %v", text, answer.Text, err)
	}
}

func TestEverySettingReachesTheEngine(t *testing.T) {
	seed, topK, zero, minP := int64(7), 0, 0.0, 0.1
	for _, c := range []struct {
		name, path, want string
		op               ops.Infer
	}{
		{
			"defaults", "/v1/chat/completions",
			`{"model":"fake","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true},
			  "temperature":0.8,"top_p":0.95,"top_k":40,"min_p":0.05}`,
			ops.Infer{Prompt: "hi"},
		},
		{
			"all of them", "/v1/chat/completions",
			`{"model":"fake","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"}],"stream":true,
			  "stream_options":{"include_usage":true},"max_tokens":9,"temperature":0,"top_p":0.5,"top_k":0,"min_p":0.1,"seed":7,"stop":["\n"]}`,
			ops.Infer{
				Model: "fake", Prompt: "hi", System: "be brief", MaxTokens: 9, Temperature: &zero, TopP: new(0.5), TopK: &topK,
				MinP: &minP, Seed: &seed, Stop: []string{"\n"},
			},
		},
		{
			"raw", "/v1/completions",
			`{"model":"fake","prompt":"Once","stream":true,"stream_options":{"include_usage":true},"temperature":0.8,"top_p":0.95,"top_k":40,"min_p":0.05}`,
			ops.Infer{Prompt: "Once", Raw: true},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var path string
			var got, want any
			w := start(t, answering(func(rw http.ResponseWriter, r *http.Request) {
				path = r.URL.Path
				if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
					t.Error(err)
				}
				_, _ = io.WriteString(rw, "data: {\"choices\":[{\"text\":\"!\",\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n")
			}))
			_, answer, err := infer(t, w.Client, c.op)
			if err != nil || answer.Text != "!" || answer.FinishReason != "length" {
				t.Fatalf("got %+v and %v", answer, err)
			}
			if err := json.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); path != c.path || diff != "" {
				t.Errorf("sent to %s: %s", path, diff)
			}
		})
	}
}

func TestAnEngineThatFailsFailsTheJob(t *testing.T) {
	for _, c := range []struct {
		name, says string
		code       ops.Code
		answer     http.HandlerFunc
	}{
		{"by a status and OpenAI's error", "max_tokens: too many", ops.CodeInvalid, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":{"message":"max_tokens: too many","code":400}}`)
		}},
		{"by an error with a hint", "too long", ops.CodeInvalid, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":{"message":"too long","code":"invalid","hint":"shorten it"}}`)
		}},
		{"by an error about what the worker made of the prompt", "is 9 tokens long", ops.CodeInvalid, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":{"message":"messages: is 9 tokens long","code":"invalid","param":"messages"}}`)
		}},
		{"by a status and the error of vLLM's older kind", "too long", ops.CodeInvalid, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"object":"error","message":"too long","code":400}`)
		}},
		{"by having too much to do", "too many", ops.CodeBusy, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"error":{"message":"too many","code":429}}`)
		}},
		{"by a status alone", "the engine answers 503 Service Unavailable", ops.CodeBusy, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}},
		{"by a status it has no words for", "the engine answers 418 I'm a teapot", ops.CodeInternal, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
		}},
		{"by an error chunk", "out of memory", ops.CodeUnsupported, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"error\":{\"message\":\"out of memory\",\"code\":\"unsupported\"}}\n\n")
		}},
		{"by an error chunk of the request's", "too long", ops.CodeInvalid, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "data: {\"error\":{\"message\":\"too long\",\"type\":\"BadRequestError\",\"code\":400}}\n\n")
		}},
		{"by just ending", "the engine broke its answer off", ops.CodeUnavailable, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "data: {\"choices\":[{\"text\":\"a\"}]}\n\n")
		}},
		{"by nothing", "the engine answers with nothing that can be read", ops.CodeInternal, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "what?")
		}},
		{"by an end without a reason", "the engine broke its answer off", ops.CodeUnavailable, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: [DONE]\n\n")
		}},
		{"by an error with the status of an answer", "soft", ops.CodeInternal, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"error":{"message":"soft"}}`)
		}},
		{"by a page", "the engine answers with text/html", ops.CodeInternal, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>")
		}},
		{"by a model that it does not know", "no such model", ops.CodeInternal, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"error":{"message":"no such model","code":404}}`)
		}},
		{"by nonsense", "the engine sent what cannot be read", ops.CodeInternal, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "data: {\"choices\":7}\n\n")
		}},
		{"by an endless line", "the engine sent an event of more than", ops.CodeInternal, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "data: \""+strings.Repeat("a", 17<<20))
		}},
		{"by a panic at once", "the engine panicked: ouch", ops.CodeInternal, func(http.ResponseWriter, *http.Request) { panic("ouch") }},
		{"by a panic in its answer", "the engine panicked: ouch", ops.CodeInternal, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "data: {\"choices\":[{\"text\":\"a\"}]}\n\n")
			panic("ouch")
		}},
		{"by an abort", "the engine broke its answer off", ops.CodeUnavailable, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := start(t, answering(c.answer))
			_, _, err := infer(t, w.Client, ops.Infer{Prompt: "x"})
			e, ok := errors.AsType[*ops.Error](err)
			if !ok || e.Code != c.code || !strings.Contains(e.Message, c.says) {
				t.Errorf("got %v (%s), want %q (%s)", err, ops.CodeOf(err), c.says, c.code)
			}
			if ok && c.code != ops.CodeInvalid && !strings.HasPrefix(e.Message, "worker w1 of localhost, which runs fake: ") {
				t.Errorf("whose fault it is, is not said: %q", e.Message)
			}
			if ok && (e.Field == "prompt") != strings.Contains(c.name, "prompt") {
				t.Errorf("the field is %q", e.Field)
			}
			if ok && (e.Hint == "shorten it") != strings.Contains(c.name, "hint") {
				t.Errorf("the hint is %q", e.Hint)
			}
		})
	}
}

// TestAWholeAnswerNeedsNoLastWord is of engines that send no [DONE].
func TestAWholeAnswerNeedsNoLastWord(t *testing.T) {
	w := start(t, answering(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "data: {\"choices\":[{\"text\":\"a\",\"finish_reason\":\"length\"}]}\n\n")
	}))
	if text, answer, err := infer(t, w.Client, ops.Infer{Prompt: "x"}); err != nil || text != "a" || answer.FinishReason != "length" {
		t.Errorf("%q %+v %v", text, answer, err)
	}
}

func TestCancellingAJobStopsTheEngineAndFreesItsSlot(t *testing.T) {
	engine, open := remembered(enginetest.Options{Pace: time.Millisecond})
	w := start(t, open)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	why := errors.New("enough")
	_, err := w.Do(ctx, ops.Infer{Prompt: enginetest.WordHang}, "", func(r transport.Received) error {
		if _, ok := r.Event.(ops.TokenEvent); ok {
			cancel(why)
		}
		return nil
	})
	if !errors.Is(err, why) {
		t.Fatalf("got %v", err)
	}
	await(t, w.Client, func(s ops.Worker) bool { return s.State == ops.WorkerReady && s.Running == 0 })
	if n := engine().Cancelled(); n != 1 {
		t.Errorf("the engine gave %d requests up, want 1", n)
	}
	jobs, err := w.Jobs(t.Context())
	if err != nil || len(jobs.Jobs) != 1 || jobs.Jobs[0].State != ops.JobCancelled {
		t.Errorf("the job is %+v, %v", jobs, err)
	}
}

// TestWorkForAnotherWorkerOrModelIsRefusedBeforeItIsAJob holds it for who asks a worker
// itself.
func TestWorkForAnotherWorkerOrModelIsRefusedBeforeItIsAJob(t *testing.T) {
	w := start(t, paced(enginetest.Options{}))
	for field, o := range map[string]ops.Infer{"model": {Prompt: "x", Model: "other"}, "worker_id": {Prompt: "x", WorkerID: "w2"}} {
		_, err := w.Submit(t.Context(), o, "")
		if e := ops.AsError(err); e == nil || e.Code != ops.CodeNotFound || e.Field != field || !strings.Contains(e.Message, "w1") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if jobs, err := w.Jobs(t.Context()); err != nil || len(jobs.Jobs) != 0 {
		t.Errorf("there are jobs: %+v, %v", jobs, err)
	}
	if _, _, err := infer(t, w.Client, ops.Infer{Prompt: "x", Model: "fake", WorkerID: "w1"}); err != nil {
		t.Errorf("its own: %v", err)
	}
}

// TestWhatAModelThinksIsNoPartOfItsAnswer: it is narrated by the line, and apart in the
// result.
func TestWhatAModelThinksIsNoPartOfItsAnswer(t *testing.T) {
	const first, second, end = `{"choices":[{"delta":{"reasoning_content":"I see.\n\nA b"}}]}`, `{"choices":[{"delta":{"reasoning":"ee."}}]}`, `{"choices":[{"delta":{"content":"%s"},"finish_reason":"length"}]}`
	for said, warned := range map[string]bool{"Hello": false, "": true} {
		w := start(t, answering(func(rw http.ResponseWriter, _ *http.Request) {
			for _, chunk := range []string{first, second, strings.Replace(end, "%s", said, 1), "[DONE]"} {
				_, _ = io.WriteString(rw, "data: "+chunk+"\n\n")
			}
		}))
		var told []string
		var answer ops.Answer
		raw, err := w.Client.Do(t.Context(), ops.Infer{Prompt: "x"}, "", func(r transport.Received) error {
			if n, ok := r.Event.(ops.NarrationEvent); ok && strings.HasPrefix(n.Action, "thought") {
				told = append(told, n.Human)
			}
			return nil
		})
		if err == nil {
			err = json.Unmarshal(raw, &answer)
		}
		if err != nil || answer.Text != said || answer.Reasoning != "I see.\n\nA bee." {
			t.Errorf("%+v, %v", answer, err)
		}
		if len(told) < 2 || told[0] != "thinks: I see." || told[1] != "thinks: A bee." || (len(told) == 3) != warned {
			t.Errorf("told is %q", told)
		}
	}
}
