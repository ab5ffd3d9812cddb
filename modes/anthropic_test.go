package modes_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

// newAnthropic is Anthropic's own client, pointed at the queen of p, who is
// started.
func newAnthropic(p *place) anthropic.Client {
	p.t.Helper()
	p.rbee("queen", "start")
	p.t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return anthropic.NewClient(
		option.WithBaseURL("http://"+p.record("queen").Address), option.WithAPIKey("none"),
		option.WithHTTPClient(http.DefaultClient), option.WithMaxRetries(0),
	)
}

func TestAnthropicsClientTalksToTheQueen(t *testing.T) {
	p := newPlace(t)
	c := newAnthropic(p)
	ask := anthropic.MessageNewParams{
		Model: "tinybee", MaxTokens: 12, Temperature: anthropic.Float(0),
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Once upon a time"))},
	}
	whole, err := c.Messages.New(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	if len(whole.Content) != 1 || whole.Content[0].Text == "" || whole.Usage.OutputTokens == 0 || whole.StopReason != anthropic.StopReasonMaxTokens {
		t.Fatalf("in one piece: %+v", whole)
	}
	stream := c.Messages.NewStreaming(t.Context(), ask)
	var message anthropic.Message
	for stream.Next() {
		if err := message.Accumulate(stream.Current()); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Err(); err != nil || len(message.Content) != 1 || message.Content[0].Text != whole.Content[0].Text {
		t.Errorf("as a stream: %+v, %v", message.Content, err)
	}
	ask.Model = "tinybea"
	_, err = c.Messages.New(t.Context(), ask)
	if refused, ok := errors.AsType[*anthropic.Error](err); !ok || refused.StatusCode != http.StatusNotFound || !strings.Contains(err.Error(), "not_found_error") {
		t.Errorf("an unknown model: %v", err)
	}
}

func TestAnthropicsClientHasToolsCalled(t *testing.T) {
	p := newPlace(t)
	c := newAnthropic(p)
	p.withToolbee()
	ask := anthropic.MessageNewParams{
		Model: toolbee, MaxTokens: 50,
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("What is the weather in Paris?"))},
		Tools:    []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{Name: "weather"}}},
	}
	stream := c.Messages.NewStreaming(t.Context(), ask)
	var message anthropic.Message
	for stream.Next() {
		if err := message.Accumulate(stream.Current()); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Err(); err != nil || len(message.Content) != 1 || message.StopReason != anthropic.StopReasonToolUse {
		t.Fatalf("as a stream: %+v, %v", message, err)
	}
	use := message.Content[0]
	if use.Name != "weather" || string(use.Input) != `{"city":"Paris"}` {
		t.Errorf("called %+v", use)
	}
	ask.Messages = append(ask.Messages, message.ToParam(), anthropic.NewUserMessage(anthropic.NewToolResultBlock(use.ID, "sunny", false)))
	whole, err := c.Messages.New(t.Context(), ask)
	if err != nil || len(whole.Content) != 1 || whole.Content[0].Text != "It is sunny." {
		t.Errorf("with the tool's result: %+v, %v", whole, err)
	}
	for _, how := range breaks {
		ask.Messages = []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(how))}
		for stream = c.Messages.NewStreaming(t.Context(), ask); stream.Next(); { // to its end
			if stream.Current().Type == "message_stop" {
				t.Errorf("%s: it ends as if all were well", how)
			}
		}
		if err := stream.Err(); err == nil || !strings.Contains(err.Error(), "broke") {
			t.Errorf("%s: the stream ended with %v", how, err)
		}
	}
}

// TestAnthropicsClientIsGivenWhatAModelThinks: as thinking blocks, which it gives back
// in the conversation.
func TestAnthropicsClientIsGivenWhatAModelThinks(t *testing.T) {
	p := newPlace(t)
	c := newAnthropic(p)
	p.withToolbee()
	ask := anthropic.MessageNewParams{
		Model: toolbee, MaxTokens: 2000, Thinking: anthropic.ThinkingConfigParamOfEnabled(1024),
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Think"))},
	}
	stream := c.Messages.NewStreaming(t.Context(), ask)
	var message anthropic.Message
	for stream.Next() {
		if err := message.Accumulate(stream.Current()); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Err(); err != nil || len(message.Content) != 2 || message.Content[0].Thinking != "Hm, so. " || message.Content[1].Text != "It is Think." {
		t.Fatalf("as a stream: %+v, %v", message.Content, err)
	}
	ask.Messages = append(ask.Messages, message.ToParam(), anthropic.NewUserMessage(anthropic.NewTextBlock("Think again")))
	whole, err := c.Messages.New(t.Context(), ask)
	if err != nil || len(whole.Content) != 2 || whole.Content[0].Thinking != "Hm, Hm, so. so." {
		t.Errorf("with its thoughts in the conversation: %+v, %v", whole, err)
	}
	ask.Thinking = anthropic.ThinkingConfigParamUnion{OfDisabled: &anthropic.ThinkingConfigDisabledParam{}}
	if whole, err = c.Messages.New(t.Context(), ask); err != nil || len(whole.Content) != 1 {
		t.Errorf("where it is not to think: %+v, %v", whole, err)
	}
}
