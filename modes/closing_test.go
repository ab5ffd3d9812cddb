package modes_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
)

// TestAStreamEndsBeforeItsQueenDoes restarts the queen in the middle of a stream,
// and then ends her in the middle of another: the first comes to its end, unless
// that takes too long, and the clients of the others are told why they do not.
func TestAStreamEndsBeforeItsQueenDoes(t *testing.T) {
	p := newPlace(t)
	c := newOpenAI(p)
	ask := openai.CompletionNewParams{
		Model: "slow", MaxTokens: openai.Int(100), Temperature: openai.Float(0),
		Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("Once upon a time")},
	}
	whole, err := c.Completions.New(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	stream := func(command string) (text string, err error) {
		s := c.Completions.NewStreaming(t.Context(), ask)
		for pieces := 0; s.Next(); pieces++ {
			for _, choice := range s.Current().Choices {
				text += choice.Text
			}
			if pieces == 3 {
				done := make(chan struct{})
				defer func() { <-done }()
				go func() {
					defer close(done)
					if out, err := p.command("queen", command).CombinedOutput(); err != nil {
						t.Errorf("queen %s: %v: %s", command, err, out)
					}
				}()
			}
		}
		return text, s.Err()
	}
	text, err := stream("restart")
	if err == nil && text != whole.Choices[0].Text || err != nil && !strings.Contains(err.Error(), "the queen is being restarted") {
		t.Errorf("over a restart: %q, %v; undisturbed %q", text, err, whole.Choices[0].Text)
	}
	ask.MaxTokens = openai.Int(2000)
	inOnePiece := make(chan error)
	go func() {
		_, err := c.Completions.New(t.Context(), ask)
		inOnePiece <- err
	}()
	for p.workers()[0].Running == 0 { // each look takes a while
	}
	job := p.command("infer", "-q", "-m", "slow", "-n", "2000", "Once upon a time")
	var told strings.Builder
	job.Stderr = &told
	begun, err := job.StdoutPipe()
	if err == nil {
		err = job.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	_, _ = begun.Read(make([]byte, 1)) // it is being answered
	if text, err = stream("stop"); err == nil || !strings.Contains(err.Error(), "the queen is stopping") || text == "" {
		t.Errorf("at its end: %q, %v", text, err)
	}
	if told, ok := errors.AsType[*openai.Error](<-inOnePiece); !ok || told.StatusCode != http.StatusServiceUnavailable || told.Code != "cancelled" {
		t.Errorf("in one piece: %v", told)
	}
	_, _ = io.Copy(io.Discard, begun)
	if _ = job.Wait(); job.ProcessState.ExitCode() != 130 || told.String() != "rbee: the queen is stopping\n      `rbee queen start` starts one again\n" {
		t.Errorf("a job: %v, %q", job.ProcessState, told.String())
	}
}

// TestARestartIsBroughtToItsEnd interrupts the command while the queen waits for a
// stream to end: half a restart would leave no queen.
func TestARestartIsBroughtToItsEnd(t *testing.T) {
	p := newPlace(t)
	c := newOpenAI(p)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	stream := c.Completions.NewStreaming(ctx, openai.CompletionNewParams{
		Model: "slow", MaxTokens: openai.Int(4000), Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("Once upon a time")},
	})
	defer stream.Close()
	if !stream.Next() {
		t.Fatal(stream.Err())
	}
	before := p.record("queen").PID
	restart := p.command("queen", "restart")
	said, err := restart.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := restart.Start(); err != nil {
		t.Fatal(err)
	}
	var told []string
	for lines := bufio.NewScanner(said); lines.Scan(); {
		told = append(told, lines.Text())
		switch {
		case strings.Contains(lines.Text(), "waiting for answers"):
			if err := restart.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		case strings.Contains(lines.Text(), "is ending already"):
			leave()
		}
	}
	if err := restart.Wait(); err != nil || !slices.ContainsFunc(told, func(line string) bool { return strings.Contains(line, "is ending already") }) {
		t.Errorf("interrupted, it ends with %v and says %q", err, told)
	}
	if after := p.record("queen"); after.PID == before || !after.Alive() {
		t.Errorf("the queen was process %d and is %d", before, after.PID)
	}
}
