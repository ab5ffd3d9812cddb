package openai_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rbee.dev/rbee/inference/openai"
	"rbee.dev/rbee/ops"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// says is a generator of the given pieces, that then ends with err.
type says struct {
	pieces []string
	err    error
	got    openai.Request
	said   int
}

func (s *says) Generate(_ context.Context, r openai.Request, emit func(string) error) (openai.Outcome, error) {
	s.got = r
	for _, p := range s.pieces {
		s.said++
		if err := emit(p); err != nil {
			return openai.Outcome{}, err
		}
	}
	return openai.Outcome{Finish: openai.FinishLength, PromptTokens: 2, CompletionTokens: len(s.pieces)}, s.err
}

func post(t *testing.T, g openai.Generator, path, body string) (int, string) {
	t.Helper()
	server := httptest.NewServer(openai.NewHandler("m", g))
	defer server.Close()
	answer, err := http.Post(server.URL+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	return answer.StatusCode, string(text)
}

// content joins the texts of a stream of completions.
func content(stream string) string {
	var b strings.Builder
	for line := range strings.Lines(stream) {
		if _, rest, ok := strings.Cut(line, `"text":"`); ok {
			text, _, _ := strings.Cut(rest, `"`)
			b.WriteString(text)
		}
	}
	return b.String()
}

func TestStopTextsNeverLeak(t *testing.T) {
	for _, tt := range []struct {
		name, stop string
		pieces     []string
		want       string
		finish     string
	}{
		{"in one piece", `"END"`, []string{"ab", "cENDd", "e"}, "abc", "stop"},
		{"over several", `["END","x"]`, []string{"ab", "E", "N", "D", "e"}, "ab", "stop"},
		{"only a beginning", `"END"`, []string{"ab", "EN", "d"}, "abENd", "length"},
		{"a beginning at the end", `"END"`, []string{"ab", "EN"}, "abEN", "length"},
		{"the earlier of two", `["cd","bc"]`, []string{"abcd"}, "a", "stop"},
		{"an empty one is none", `""`, []string{"a"}, "a", "length"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, stream := post(t, &says{pieces: tt.pieces}, "/v1/completions", `{"prompt":"p","stream":true,"stop":`+tt.stop+`}`)
			if got := content(stream); got != tt.want {
				t.Errorf("said %q, want %q", got, tt.want)
			}
			if !strings.Contains(stream, `"finish_reason":"`+tt.finish+`"`) || !strings.HasSuffix(stream, "data: [DONE]\n\n") {
				t.Errorf("ended as %s", stream)
			}
		})
	}
}

func TestAFailureIsNeverSilent(t *testing.T) {
	odd := errors.New("the engine broke")
	if status, text := post(t, &says{err: odd}, "/v1/completions", `{"prompt":"p","stream":true}`); status != 500 || !strings.Contains(text, "the engine broke") {
		t.Errorf("before the first byte: %d %s", status, text)
	}
	status, text := post(t, &says{pieces: []string{"a"}, err: odd}, "/v1/completions", `{"prompt":"p","stream":true}`)
	if status != 200 || !strings.Contains(text, `data: {"error":{"message":"the engine broke"`) || strings.Contains(text, "[DONE]") {
		t.Errorf("after it: %d %s", status, text)
	}
	refused := ops.Errorf(ops.CodeUnsupported, "no such thing").WithHint("take another")
	if status, text := post(t, &says{err: refused}, "/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}]}`); status != 501 || !strings.Contains(text, `"code":"unsupported","hint":"take another"`) {
		t.Errorf("with a code: %d %s", status, text)
	}
}

func TestValuesArriveAndBadOnesAreNamed(t *testing.T) {
	g := &says{}
	post(t, g, "/v1/chat/completions", `{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}],"max_completion_tokens":7,"temperature":0,"top_k":3,"seed":9,"unknown":1,"chat_template_kwargs":{"enable_thinking":false}}`)
	if r := g.got; r.Messages[0].Content != "ab" || r.MaxTokens != 7 || r.Temperature != 0 || r.TopK != 3 || r.Seed != 9 || r.TopP != ops.DefaultTopP || r.Template["enable_thinking"] != false {
		t.Errorf("got %+v", r)
	}
	for body, want := range map[string]string{
		`{"messages":[]}`: "messages", `{"messages":[{"content":"x"}]}`: "role", `{"messages":[{"role":"user","content":5}]}`: "messages",
		`{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`: "an image", `{"messages":"x"}`: "messages",
		`{"messages":[{"role":"user","content":"x"}],"min_p":2}`: "min_p", `nope`: "JSON",
		`{"messages":[{"role":"user","content":"x"}],"stop":["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17"]}`: "stop",
	} {
		if status, text := post(t, &says{}, "/v1/chat/completions", body); status != 400 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	if status, _ := post(t, &says{}, "/v1/nothing", `{}`); status != 404 {
		t.Errorf("an unknown route: %d", status)
	}
}

func TestUsageIsCountedWhenAsked(t *testing.T) {
	_, stream := post(t, &says{pieces: []string{"a", "b"}}, "/v1/completions", `{"prompt":"p","stream":true,"stream_options":{"include_usage":true}}`)
	if !strings.Contains(stream, `"usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4}`) {
		t.Errorf("stream %s", stream)
	}
	_, whole := post(t, &says{pieces: []string{"a", "b"}}, "/v1/completions", `{"prompt":"p"}`)
	if !strings.Contains(whole, `"text":"ab"`) || !strings.Contains(whole, `"completion_tokens":2`) {
		t.Errorf("whole %s", whole)
	}
}

// clocked is a generator that knows when it has made its first and last token.
type clocked struct{ says }

func (c *clocked) Generate(ctx context.Context, r openai.Request, emit func(string) error) (openai.Outcome, error) {
	o, err := c.says.Generate(ctx, r, emit)
	o.First = time.Now()
	o.Last = o.First.Add(1500 * time.Microsecond)
	return o, err
}

// TestTimesAreThoseOfTheTokens: not of when their text is heard, which may be all at once.
func TestTimesAreThoseOfTheTokens(t *testing.T) {
	if _, text := post(t, &clocked{says{pieces: []string{"a", "b"}}}, "/v1/completions", `{"prompt":"p"}`); !strings.Contains(text, `"predicted_n":2,"predicted_ms":1.5}`) {
		t.Errorf("got %s", text)
	}
}

func TestTheStopTextThatWasMetIsTold(t *testing.T) {
	for body, want := range map[string]string{
		`{"prompt":"p","stop":["c","ab"]}`:               `"text":"x","finish_reason":"stop","stop_reason":"ab"}`,
		`{"prompt":"p","stop":["c","ab"],"stream":true}`: `"text":"","finish_reason":"stop","stop_reason":"ab"}],"timings":{"prompt_n":`,
		`{"prompt":"p","stop":["no"]}`:                   `"text":"xabc","finish_reason":"length"}`,
	} {
		if _, text := post(t, &says{pieces: []string{"x", "a", "bc"}}, "/v1/completions", body); !strings.Contains(text, want) {
			t.Errorf("%s: %s", body, text)
		}
	}
}

func TestWhatWouldMakeAnotherAnswerIsRefused(t *testing.T) {
	for more, field := range map[string]string{
		`"tool_choice":"required"`: "tool_choice", `"tool_choice":{"type":"function","function":{"name":"f"}}`: "tool_choice",
		`"response_format":{"type":"json_schema","json_schema":{}}`: "response_format", `"response_format":{"type":"json_object"}`: "response_format",
		`"logprobs":true`: "logprobs", `"logprobs":3`: "logprobs", `"temperature":9`: "temperature",
		`"tool_choice":"auto","tools":[{"type":"function"}],"response_format":{"type":"text"},"logprobs":false,"temperature":2`: "",
	} {
		status, text := post(t, &says{pieces: []string{"a"}}, "/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}],`+more+`}`)
		if field == "" && status != 200 || field != "" && (status != 400 || !strings.Contains(text, `"param":"`+field+`"`)) {
			t.Errorf("%s: %d %s", more, status, text)
		}
	}
}
