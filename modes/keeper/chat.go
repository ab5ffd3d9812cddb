package keeper

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// Chat is `rbee chat`.
type Chat struct {
	Model       string   `short:"m" help:"Model (default: one that is loaded, else as for infer)." placeholder:"NAME"`
	System      string   `short:"s" help:"Instruction that the model has from the beginning." placeholder:"TEXT"`
	MaxTokens   int      `short:"n" help:"Tokens of an answer at most." placeholder:"N"`
	Temperature *float64 `short:"t" help:"0, always the likeliest, to 2 (default: the engine's)." placeholder:"X"`
	Seed        *int64   `help:"Makes the answers repeatable (default: random)." placeholder:"N"`
}

// Help is shown by --help.
func (Chat) Help() string {
	return `Each line is a turn, and so are the lines of a paste; the model remembers the
conversation. The arrow keys edit the line and bring earlier ones back. Ctrl-C breaks
an answer off, after which the conversation goes on, and clears a line that is being
typed. What was shown of an answer stays in the conversation.

Ctrl-D or /quit ends the chat, /new begins a new conversation, /model NAME asks
another model from then on, /explain tells which worker gave the last answer, and why,
and /help lists all of these. A blank before a line has it said that begins with a slash.

Without a terminal, lines are read from standard input, answers are written to
standard output, and an error or Ctrl-C ends the chat.

Examples:
  rbee chat
  rbee chat -m qwen3-0.6b -s "Answer in one sentence."`
}

// turn is one message of the conversation.
type turn struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Run talks until the person ends it.
func (c *Chat) Run(ctx context.Context, k *Keeper) error {
	settings := ops.Infer{Prompt: "a line", System: c.System, MaxTokens: c.MaxTokens, Temperature: c.Temperature, Seed: c.Seed}
	if err := settings.Validate(); err != nil {
		return err
	}
	queen, err := k.client(ctx)
	if err != nil {
		return err
	}
	defer queen.Close()
	lines := k.lines()
	defer lines.Close()
	talk := conversation{Chat: c, keeper: k, queen: queen, out: lines, person: lines.terminal()}
	if err := talk.open(ctx); err != nil {
		return err
	}
	for {
		line, err := lines.Next(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errInterrupted):
			if line == "" {
				k.say("Ctrl-D or /quit ends the chat.")
			}
			continue
		case errors.Is(err, io.EOF) || err == nil && line == "/quit":
			return nil
		case err != nil:
			return err
		}
		if err := talk.take(ctx, line); err != nil {
			if !talk.person || ctx.Err() != nil {
				return err
			}
			k.complain(err) // the conversation goes on
		}
	}
}

// complain tells of an error that does not end the command.
func (k *Keeper) complain(err error) {
	fmt.Fprintln(k.Stderr, "rbee:", err)
	if e := ops.AsError(err); e.Hint != "" {
		fmt.Fprintln(k.Stderr, "     ", e.Hint)
	}
}

// conversation is what was said so far.
type conversation struct {
	*Chat
	keeper *Keeper
	queen  *transport.Client
	out    io.Writer
	person bool // is there, at a terminal
	turns  []turn
	asked  string // what `rbee explain` knows the last answer by
	warned bool   // that not all of what comes is text
}

// open begins, and tells a person with which model.
func (c *conversation) open(ctx context.Context) error {
	c.begin()
	if c.Model != "" {
		if err := c.check(ctx, c.Model); err != nil {
			e := *ops.AsError(err)
			e.Field = "model" // as that of infer says
			return &e
		}
	}
	if c.person {
		c.keeper.say("You talk with %s. /help shows what there is; Ctrl-D ends the chat.", c.with(ctx))
	}
	return nil
}

// take does what a line asks for: a command, or an answer.
func (c *conversation) take(ctx context.Context, line string) error {
	if strings.TrimSpace(line) == "" {
		return nil
	}
	if known, err := c.command(ctx, line); known || err != nil {
		return err
	}
	if !c.warned && !utf8.ValidString(line) {
		c.warned = true
		c.keeper.warnOfBytes()
	}
	return c.answer(ctx, line)
}

func (c *conversation) begin() {
	c.turns = nil
	if c.System != "" {
		c.turns = []turn{{"system", c.System}}
	}
}

// answer asks for the answer to a line and prints it as it comes. What was shown
// stays in the conversation, whether it failed then or a person broke it off by
// Ctrl-C; a line that nothing was answered to does not, and the person is told.
func (c *conversation) answer(ctx context.Context, line string) error {
	before := len(c.turns)
	err := c.tellOrStop(ctx, line)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil && !c.person:
		return err // which ends the chat
	}
	if err != nil && !errors.Is(err, errInterrupted) {
		c.keeper.complain(err)
	}
	switch kept := len(c.turns) > before; {
	case !kept:
		c.keeper.say("keeper: nothing was answered: the line is no part of the conversation")
	case errors.Is(err, errInterrupted):
		c.keeper.say("keeper: the answer was broken off; what was shown of it stays in the conversation")
	case err != nil:
		c.keeper.say("keeper: what was shown of the answer stays in the conversation")
	}
	return nil
}

// tellOrStop is say, which a person may break off: it returns errInterrupted then.
func (c *conversation) tellOrStop(ctx context.Context, line string) error {
	if !c.person {
		return c.say(ctx, line)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	release := c.keeper.OnInterrupt(func() { stop(errInterrupted) })
	defer release()
	err := c.say(ctx, line)
	if errors.Is(context.Cause(ctx), errInterrupted) {
		return errInterrupted
	}
	return err
}

// say says a line to the model and prints what it answers, until ctx ends. Both are
// part of the conversation then, as far as there was an answer.
func (c *conversation) say(ctx context.Context, line string) error {
	turns := append(slices.Clone(c.turns), turn{"user", line})
	request := map[string]any{"messages": turns, "stream": true}
	if c.Model != "" {
		request["model"] = c.Model
	}
	if c.MaxTokens > 0 {
		request["max_tokens"] = c.MaxTokens
	}
	if c.Temperature != nil {
		request["temperature"] = *c.Temperature
	}
	if c.Seed != nil {
		request["seed"] = *c.Seed
	}
	body, header, err := c.queen.Open(ctx, "/v1/chat/completions", request)
	c.asked = header.Get("X-Rbee-Job")
	if err != nil {
		return err
	}
	defer body.Close()
	var said strings.Builder
	err = c.read(body, io.MultiWriter(c.out, &said))
	fmt.Fprintln(c.out)
	if said.Len() > 0 {
		c.turns = append(turns, turn{"assistant", said.String()})
	}
	return err
}

// read prints the text of an event stream; comments are what happens meanwhile.
func (c *conversation) read(body io.Reader, out io.Writer) error {
	mind := &thoughts{k: c.keeper}
	defer mind.end()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		line := lines.Text()
		if note, ok := strings.CutPrefix(line, ": "); ok {
			c.keeper.say("%s", note)
			continue
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			return nil
		}
		var chunk struct {
			Choices []struct {
				Delta struct {
					Content   string
					Reasoning string `json:"reasoning_content"`
					Thought   string `json:"reasoning"` // the same, as vLLM has it by now
				}
			}
			Error json.RawMessage
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			return ops.Errorf(ops.CodeInternal, "the queen sent what cannot be read: %w", err)
		}
		if len(chunk.Error) > 0 && string(chunk.Error) != "null" {
			return transport.EngineError(0, []byte(data))
		}
		for _, choice := range chunk.Choices {
			mind.show(cmp.Or(choice.Delta.Reasoning, choice.Delta.Thought))
			if choice.Delta.Content != "" {
				mind.end()
			}
			if _, err := io.WriteString(out, choice.Delta.Content); err != nil {
				return brokenPipe(err)
			}
		}
	}
	why := "its connection ended"
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		why = err.Error()
	}
	return ops.Errorf(ops.CodeUnavailable, "the queen broke the answer off: %s", why).
		WithHint("say it again; `rbee queen status` tells whether the queen runs")
}
