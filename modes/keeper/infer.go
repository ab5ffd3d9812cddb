package keeper

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"rbee.dev/rbee/ops"
)

// Infer is `rbee infer`.
type Infer struct {
	Prompt      string   `arg:"" optional:"" help:"Prompt; what comes on standard input is put after it."`
	Model       string   `short:"m" help:"Model (default: the one added last, else the built-in one)." placeholder:"NAME"`
	Hive        string   `json:"hive_id" help:"Hive to use (default: the queen chooses)." placeholder:"NAME"`
	Worker      string   `json:"worker_id" help:"Worker to use, by its id." placeholder:"ID"`
	Engine      string   `json:"worker" help:"Engine: auto, llamacpp or builtin." placeholder:"NAME"`
	Device      string   `help:"Device: auto, cpu, cuda:0, …" placeholder:"DEVICE"`
	MaxTokens   int      `short:"n" help:"Tokens to make at most (default, and 0: to the end of the context)." placeholder:"N"`
	Temperature *float64 `short:"t" help:"0, always the likeliest, to 2 (default: 0.8)." placeholder:"X"`
	TopP        *float64 `help:"Keep the likeliest tokens that together reach this (default: 0.95)." placeholder:"X"`
	TopK        *int     `help:"Keep so many of the likeliest tokens, 0 for all (default: 40)." placeholder:"N"`
	MinP        *float64 `help:"Drop tokens below this share of the likeliest (default: 0.05)." placeholder:"X"`
	Seed        *int64   `help:"Makes the answer repeatable (default: random)." placeholder:"N"`
	Stop        []string `help:"Text to stop before; may be given several times." sep:"none" placeholder:"TEXT"`
	System      string   `short:"s" help:"Instruction to put before the prompt." placeholder:"TEXT"`
	Priority    string   `help:"interactive, or batch: after all that is interactive (default: interactive)." placeholder:"NAME"`
	Raw         bool     `help:"Give the prompt as it is, without the model's chat template."`
}

// Help is shown by --help.
func (Infer) Help() string {
	return `Only the model's text goes to standard output; everything else to standard
error. Ctrl-C, or a reader that goes away, cancels the job. It outlives a command
that is killed: "rbee job list" finds it, "rbee job follow JOB" shows all of it.

Examples:
  rbee infer "Once upon a time"
  git diff | rbee infer "Write a commit message for:"
  rbee infer -o json --seed 1 --max-tokens 50 "Tell me a story" | jq -r .text
  rbee explain $(rbee infer -o json "Hello" | jq -r .job_id)`
}

// Run asks for the text and prints it.
func (c *Infer) Run(ctx context.Context, k *Keeper) error {
	if c.Raw && c.System != "" {
		return ops.Invalid("system", "needs the model's chat template, which --raw leaves out")
	}
	prompt, err := k.prompt(ctx, c.Prompt)
	if err != nil {
		return err
	}
	o := ops.Infer{
		OnHive: ops.OnHive{HiveID: c.Hive}, Model: c.Model, Prompt: prompt, System: c.System, Raw: c.Raw, MaxTokens: c.MaxTokens,
		Temperature: c.Temperature, TopP: c.TopP, TopK: c.TopK, MinP: c.MinP, Seed: c.Seed, Stop: c.Stop,
		Engine: c.Engine, Device: c.Device, WorkerID: c.Worker, Priority: ops.Priority(c.Priority),
	}
	if err := o.Validate(); err != nil {
		return err
	}
	ctx, unwatch := whileRead(ctx, k.Stdout)
	defer unwatch()
	p := printer{k: k, events: k.Output == "events"}
	see := p.see
	if k.Output == "json" { // the result has the text
		see = nil
	}
	raw, err := k.Do(ctx, o, "", see)
	if err != nil {
		_ = p.fail(err) // the error itself is the one to show
		return err
	}
	if k.Output == "json" {
		_, err := fmt.Fprintf(k.Stdout, "%s\n", raw)
		return brokenPipe(err)
	}
	if k.Output == "events" {
		return p.line(p.seen+1, "result", raw) // events are numbered one by one
	}
	return p.finish(true)
}

// prompt joins the argument and what comes on standard input, if that is not a
// terminal.
func (k *Keeper) prompt(ctx context.Context, argument string) (string, error) {
	if argument == "-" { // as other commands call standard input
		argument = ""
	}
	file, ok := k.Stdin.(*os.File)
	if k.Stdin == nil || ok && !piped(file) {
		return argument, needed(argument)
	}
	waiting := time.AfterFunc(2*time.Second, func() { k.say("keeper: waiting for the rest of the prompt on standard input") })
	defer waiting.Stop()
	text, err := readAll(ctx, io.LimitReader(k.Stdin, ops.MaxPromptBytes+1))
	if err != nil {
		return "", err
	}
	if len(text) > ops.MaxPromptBytes {
		return "", ops.Invalid("prompt", "what comes on standard input is longer than the %d bytes that are taken", ops.MaxPromptBytes)
	}
	if !utf8.ValidString(text) {
		k.warnOfBytes()
	}
	if argument == "" {
		return text, needed(text)
	}
	if strings.TrimSpace(text) == "" {
		return argument, nil
	}
	return argument + "\n\n" + text, nil
}

// warnOfBytes tells that what was read is not all text.
func (k *Keeper) warnOfBytes() {
	k.say("keeper: warning: what comes on standard input is not all UTF-8: the model gets %q for the bytes that are not", utf8.RuneError)
}

// needed is an error for a prompt that is not there.
func needed(prompt string) error {
	if strings.TrimSpace(prompt) != "" {
		return nil
	}
	return ops.Invalid("prompt", "must be given, as an argument or on standard input").
		WithHint(`rbee infer "Once upon a time"`)
}

// piped reports whether something other than a terminal or /dev/null is on the
// file.
func piped(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice == 0 && !term.IsTerminal(int(f.Fd()))
}

// readAll reads to the end, or until ctx ends: a pipe may stay open for ever.
func readAll(ctx context.Context, r io.Reader) (string, error) {
	type read struct {
		text []byte
		err  error
	}
	done := make(chan read, 1)
	go func() { // ends with standard input; the process does not wait for it
		text, err := io.ReadAll(r)
		done <- read{text, err}
	}()
	select {
	case got := <-done:
		if got.err != nil {
			return "", fmt.Errorf("read standard input: %w", got.err)
		}
		return string(got.text), nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
