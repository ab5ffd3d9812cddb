package modes_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

func TestAnthropicsClientTalksToTheQueen(t *testing.T) {
	p := newPlace(t)
	p.rbee("queen", "start")
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	c := anthropic.NewClient(
		option.WithBaseURL("http://"+p.record("queen").Address), option.WithAPIKey("none"),
		option.WithHTTPClient(http.DefaultClient), option.WithMaxRetries(0),
	)
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
