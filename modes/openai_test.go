package modes_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
)

// newOpenAI is OpenAI's own client, pointed at the queen of p, who is started.
func newOpenAI(p *place) openai.Client {
	p.t.Helper()
	p.rbee("queen", "start")
	p.t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return openai.NewClient(
		option.WithBaseURL("http://"+p.record("queen").Address+"/v1"), option.WithAPIKey("none"),
		option.WithHTTPClient(http.DefaultClient), option.WithMaxRetries(0),
	)
}

func TestOpenAIsClientTalksToTheQueen(t *testing.T) {
	p := newPlace(t)
	c := newOpenAI(p)
	ask := openai.ChatCompletionNewParams{
		Model: "tinybee", MaxTokens: openai.Int(12), Seed: openai.Int(1), Temperature: openai.Float(0),
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Once upon a time")},
	}
	whole, err := c.Chat.Completions.New(t.Context(), ask) // with nothing running yet but the queen
	if err != nil {
		t.Fatal(err)
	}
	if text := whole.Choices[0].Message.Content; text == "" || whole.Usage.CompletionTokens == 0 {
		t.Errorf("in one piece: %+v", whole)
	}

	stream := c.Chat.Completions.NewStreaming(t.Context(), ask)
	var text strings.Builder
	pieces := 0
	for stream.Next() {
		for _, choice := range stream.Current().Choices {
			text.WriteString(choice.Delta.Content)
			pieces++
		}
	}
	if err := stream.Err(); err != nil || text.String() != whole.Choices[0].Message.Content || pieces < 5 {
		t.Errorf("as a stream: %q in %d pieces, %v; in one piece %q", text.String(), pieces, err, whole.Choices[0].Message.Content)
	}

	models, err := c.Models.List(t.Context())
	if err != nil || len(models.Data) != 2 || models.Data[1].ID != "tinybee" {
		t.Errorf("models: %+v, %v", models, err)
	}
	vectors, err := c.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
		Model: "tinybee", Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"a bee", "a flower"}},
	})
	if err != nil || len(vectors.Data) != 2 || len(vectors.Data[0].Embedding) == 0 {
		t.Errorf("embeddings: %v", err)
	}

	ask.Model = "tinybea"
	_, err = c.Chat.Completions.New(t.Context(), ask)
	if refused, ok := errors.AsType[*openai.Error](err); !ok || refused.StatusCode != http.StatusNotFound || refused.Code != "model_not_found" || !strings.Contains(refused.Message, "tinybee") {
		t.Errorf("an unknown model: %v", err)
	}
}

func TestOpenAIsClientHasToolsCalled(t *testing.T) {
	p := newPlace(t)
	c := newOpenAI(p)
	p.withToolbee()
	ask := openai.ChatCompletionNewParams{
		Model:    toolbee,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("What is the weather in Paris?")},
		Tools:    []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "weather"})},
	}
	stream := c.Chat.Completions.NewStreaming(t.Context(), ask)
	var all openai.ChatCompletionAccumulator
	for stream.Next() {
		all.AddChunk(stream.Current())
	}
	if err := stream.Err(); err != nil || len(all.Choices) != 1 || len(all.Choices[0].Message.ToolCalls) != 1 {
		t.Fatalf("as a stream: %+v, %v", all.Choices, err)
	}
	whole, err := c.Chat.Completions.New(t.Context(), ask)
	if err != nil || len(whole.Choices[0].Message.ToolCalls) != 1 {
		t.Fatalf("in one piece: %+v, %v", whole, err)
	}
	call, streamed := whole.Choices[0].Message.ToolCalls[0], all.Choices[0].Message.ToolCalls[0]
	if call.Function.Name != "weather" || call.Function.Arguments != `{"city":"Paris"}` || streamed.Function.Arguments != call.Function.Arguments || streamed.ID != call.ID {
		t.Errorf("called %+v, as a stream %+v", call, streamed)
	}
	ask.Messages = append(ask.Messages, whole.Choices[0].Message.ToParam(), openai.ToolMessage("sunny", call.ID))
	if whole, err = c.Chat.Completions.New(t.Context(), ask); err != nil || whole.Choices[0].Message.Content != "It is sunny." {
		t.Errorf("with the tool's result: %+v, %v", whole, err)
	}
	_, err = c.Responses.New(t.Context(), responses.ResponseNewParams{Model: "tinybee", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Once")}})
	if refused, ok := errors.AsType[*openai.Error](err); !ok || refused.StatusCode != http.StatusNotFound || !strings.Contains(refused.Message, "/v1/responses") {
		t.Errorf("of an engine without responses: %v", err)
	}
}

func TestOpenAIsClientSeesAnEngineDie(t *testing.T) {
	p := newPlace(t)
	c := newOpenAI(p)
	p.withToolbee()
	for _, how := range breaks {
		stream := c.Chat.Completions.NewStreaming(t.Context(), openai.ChatCompletionNewParams{
			Model: toolbee, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(how)},
		})
		for stream.Next() { // to its end
		}
		if stream.Err() == nil {
			t.Errorf("%s: the stream ended as if all were well", how)
		}
	}
}

// TestAStreamThroughTheGatewayEndsWithAnError kills the worker in the middle.
func TestAStreamThroughTheGatewayEndsWithAnError(t *testing.T) {
	p := newPlace(t)
	c := newOpenAI(p)
	stream := c.Completions.NewStreaming(t.Context(), openai.CompletionNewParams{
		Model: "slow", MaxTokens: openai.Int(400), Temperature: openai.Float(0),
		Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("Once upon a time")},
	})
	if !stream.Next() {
		t.Fatal(stream.Err())
	}
	p.kill(p.workers()[0].PID)
	for stream.Next() { // to its end
	}
	if err := stream.Err(); err == nil || !strings.Contains(err.Error(), "broke its answer off") {
		t.Errorf("the stream ended with %v", err)
	}
	again, err := c.Completions.New(t.Context(), openai.CompletionNewParams{
		Model: "slow", MaxTokens: openai.Int(3), Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("Once")},
	})
	if err != nil || again.Choices[0].Text == "" {
		t.Errorf("the next one: %v", err)
	}
}
