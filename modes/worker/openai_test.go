package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"

	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

// newOpenAI is OpenAI's own client, pointed at the worker's socket.
func newOpenAI(t *testing.T, w process) openai.Client {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(w.folder, home.WorkerSocket))
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return openai.NewClient(option.WithBaseURL("http://localhost/v1"), option.WithAPIKey("none"), option.WithMaxRetries(0),
		option.WithHTTPClient(&http.Client{Transport: transport}))
}

// fly is a tool that a bee has.
var fly = openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
	Name: "fly", Description: openai.String("Fly to a place."), Strict: openai.Bool(true),
	Parameters: shared.FunctionParameters{
		"type": "object", "additionalProperties": false, "required": []string{"to", "legs"},
		"properties": map[string]any{"to": map[string]any{"enum": []string{"hive", "flower"}}, "legs": map[string]any{"enum": []int{6}}},
	},
})

// hermes is a chat template with tools, as Nous Research's Hermes models have it.
const hermes = `{%- if tools %}
{{- "<|im_start|>system\n<tools>" }}
{%- for tool in tools %}{{- "\n" }}{{- tool | tojson }}{%- endfor %}
{{- "\n</tools><|im_end|>\n" }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == "assistant" %}
{{- "<|im_start|>" + message.role }}
{%- if message.content %}{{- "\n" + message.content }}{%- endif %}
{%- for call in message.tool_calls %}
{%- if call.function is defined %}{%- set call = call.function %}{%- endif %}
{{- "\n<tool_call>\n{\"name\": \"" }}{{- call.name }}{{- "\", \"arguments\": " }}{{- call.arguments | tojson }}{{- "}\n</tool_call>" }}
{%- endfor %}
{{- "<|im_end|>\n" }}
{%- elif message.role == "tool" %}
{{- "<|im_start|>user\n<tool_response>\n" }}{{- message.content }}{{- "\n</tool_response><|im_end|>\n" }}
{%- else %}
{{- "<|im_start|>" + message.role + "\n" + message.content + "<|im_end|>\n" }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- "<|im_start|>assistant\n" }}{%- endif %}`

// toolbee is the built-in model with that template, and with a token for the
// beginning of a call in place of its last one: a model that was never shown a
// tool has to be pushed to call one.
func toolbee(t *testing.T) (path string, push map[string]int64) {
	t.Helper()
	f, err := gguf.Parse(testdata.Tinybee())
	if err != nil {
		t.Fatal(err)
	}
	tokens, _ := f.Strings("tokenizer.ggml.tokens")
	kinds, _ := f.Ints("tokenizer.ggml.token_type")
	last := len(tokens) - 1
	tokens, kinds = slices.Clone(tokens), slices.Clone(kinds)
	tokens[last], kinds[last] = "<tool_call>\n", 4 // a user's (llama.h, LLAMA_TOKEN_TYPE_USER_DEFINED)
	path = filepath.Join(t.TempDir(), "toolbee.gguf")
	if err := os.WriteFile(path, gguftest.Changed(testdata.Tinybee(), map[string]any{
		"tokenizer.chat_template": hermes, "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": kinds,
	}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, map[string]int64{strconv.Itoa(last): 100}
}

// TestOpenAIsClientTalksToAWorkerOfLlamaCpp: what a schema allows comes also of a
// model that knows nothing of it, since llama.cpp samples by it.
func TestOpenAIsClientTalksToAWorkerOfLlamaCpp(t *testing.T) {
	path, push := toolbee(t)
	t.Setenv(llamacpp.PathEnv, llamacpptest.Program(t))
	w := spawn(t, "builtin", path, "--device", "cpu", "--parallel", "1", "--flag=threads-batch=1").up(t)
	await(t, w.Client, func(i ops.Worker) bool { return i.State == ops.WorkerReady })
	c := newOpenAI(t, w)
	ask := openai.ChatCompletionNewParams{
		Model: "tinybee", MaxTokens: openai.Int(12), Seed: openai.Int(1), Temperature: openai.Float(0),
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Once upon a time")},
	}
	whole, err := c.Chat.Completions.New(t.Context(), ask)
	if err != nil || whole.Choices[0].Message.Content == "" || whole.Usage.CompletionTokens > 12 {
		t.Fatalf("in one piece: %+v, %v", whole, err)
	}
	t.Run("a stream", func(t *testing.T) {
		ask := ask
		ask.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
		stream := c.Chat.Completions.NewStreaming(t.Context(), ask)
		all, pieces := openai.ChatCompletionAccumulator{}, 0
		for stream.Next() {
			all.AddChunk(stream.Current())
			pieces++
		}
		if err := stream.Err(); err != nil || all.Choices[0].Message.Content != whole.Choices[0].Message.Content || pieces < 3 || all.Usage.CompletionTokens != whole.Usage.CompletionTokens {
			t.Errorf("got %q in %d pieces, %v; in one piece %q", all.Choices[0].Message.Content, pieces, err, whole.Choices[0].Message.Content)
		}
	})
	t.Run("a JSON schema", func(t *testing.T) {
		ask := ask
		ask.MaxTokens = openai.Int(60)
		ask.ResponseFormat = openai.ChatCompletionNewParamsResponseFormatUnion{OfJSONSchema: &shared.ResponseFormatJSONSchemaParam{
			JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "bee", Strict: openai.Bool(true), Schema: map[string]any{
				"type": "object", "additionalProperties": false, "required": []string{"colour", "legs"},
				"properties": map[string]any{"colour": map[string]any{"enum": []string{"yellow", "black"}}, "legs": map[string]any{"enum": []int{6}}},
			}},
		}}
		got, err := c.Chat.Completions.New(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		var bee struct {
			Colour string
			Legs   int
		}
		if err := json.Unmarshal([]byte(got.Choices[0].Message.Content), &bee); err != nil || bee.Legs != 6 || !slices.Contains([]string{"yellow", "black"}, bee.Colour) {
			t.Errorf("got %q, %v", got.Choices[0].Message.Content, err)
		}
	})
	ask.MaxTokens, ask.Tools = openai.Int(120), []openai.ChatCompletionToolUnionParam{fly}
	ask.ToolChoice = openai.ChatCompletionToolChoiceOptionUnionParam{OfAuto: openai.String("required")}
	ask.ParallelToolCalls, ask.LogitBias = openai.Bool(false), push
	called := func(t *testing.T, calls []openai.ChatCompletionMessageToolCallUnion) {
		t.Helper()
		var to struct {
			To   string
			Legs int
		}
		if len(calls) != 1 || calls[0].Function.Name != "fly" || json.Unmarshal([]byte(calls[0].Function.Arguments), &to) != nil || to.Legs != 6 || to.To == "" {
			t.Errorf("it calls %+v", calls)
		}
	}
	t.Run("a tool call", func(t *testing.T) {
		got, err := c.Chat.Completions.New(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		called(t, got.Choices[0].Message.ToolCalls)
	})
	t.Run("a tool call in a stream", func(t *testing.T) {
		stream := c.Chat.Completions.NewStreaming(t.Context(), ask)
		all, finished := openai.ChatCompletionAccumulator{}, 0
		for stream.Next() {
			all.AddChunk(stream.Current())
			if _, ok := all.JustFinishedToolCall(); ok {
				finished++
			}
		}
		if err := stream.Err(); err != nil || finished != 1 {
			t.Fatalf("%d calls were finished, %v", finished, err)
		}
		called(t, all.Choices[0].Message.ToolCalls)
	})
	t.Run("what it refuses", func(t *testing.T) {
		ask := ask
		ask.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage(strings.Repeat("bee ", 3000))}
		_, err := c.Chat.Completions.New(t.Context(), ask)
		if refused, ok := errors.AsType[*openai.Error](err); !ok || refused.StatusCode != http.StatusBadRequest || !strings.Contains(refused.Message, "context") {
			t.Errorf("got %v", err)
		}
	})
}
