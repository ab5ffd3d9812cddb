// Package template turns a conversation into a prompt by the Jinja template
// that a model's file carries, rendered with the gonja library.
//
// A template comes from wherever the model came from. It can reach no file, it
// cannot include others, and a fault in it is an error. What the rendered text
// means as tokens is package tokenizer's.
package template

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
	"github.com/nikolalohinski/gonja/v2/parser"
)

// ChatML is the template for models whose files have none, as llama-server
// takes it.
const ChatML = `{% for message in messages %}<|im_start|>{{ message['role'] }}
{{ message['content'] }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`

// maxOutput bounds a rendered prompt, in bytes.
const maxOutput = 16 << 20

// Message is one turn of a conversation.
type Message struct {
	Role    string // system, user or assistant
	Content string
}

// Template is a model's template. It may be used by many goroutines.
type Template struct {
	compiled *exec.Template
	bos, eos string
}

// Parse reads a template. bos and eos are the texts of the model's tokens that
// begin and end a text, "" where it has none.
func Parse(source, bos, eos string) (t *Template, err error) {
	defer recovered(&err)
	settings := config.New()
	settings.TrimBlocks, settings.LeftStripBlocks = true, true // as transformers sets them
	const name = "/chat_template"
	loader, err := loaders.NewMemoryLoader(map[string]string{name: source})
	if err != nil {
		return nil, fmt.Errorf("read the chat template: %w", err)
	}
	compiled, err := exec.NewTemplate(name, settings, loader, environment())
	if err != nil {
		return nil, fmt.Errorf("read the chat template: %w", reason(err))
	}
	return &Template{compiled: compiled, bos: bos, eos: eos}, nil
}

// reason is what is wrong with a template: the library's error without the whole of
// the template, which it begins with, and without what follows the place.
func reason(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	text, near, ok := strings.Cut(err.Error(), ", near ")
	if !ok {
		return err
	}
	return fmt.Errorf("%s, near %.40s…", text, near)
}

// Render writes the conversation as the model wants it, up to where its answer
// begins. The template's own variables, as enable_thinking, are set to what more has.
// A template that refuses the conversation gives a [RefusedError]; every other error is
// the template's own, or the cause of ctx.
func (t *Template) Render(ctx context.Context, messages []Message, more map[string]any) (prompt string, err error) {
	defer recovered(&err)
	b := &bounds{ctx: ctx, until: time.Now().Add(renderWithin)}
	list := make([]map[string]any, len(messages))
	for i, m := range messages {
		list[i] = map[string]any{"role": m.Role, "content": m.Content}
	}
	out := &bounded{}
	err = t.compiled.Execute(out, exec.EmptyContext().Update(exec.NewContext(more)).Update(exec.NewContext(map[string]any{
		"messages": list, "bos_token": t.bos, "eos_token": t.eos, "add_generation_prompt": true, boundsKey: b,
	})))
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil && b.refusal != nil:
		return "", RefusedError{b.refusal}
	case err != nil && b.over != nil:
		return "", fmt.Errorf("render the chat template: %w", b.over)
	case err != nil:
		return "", fmt.Errorf("render the chat template: %s", innermost(err))
	case out.Len() == 0:
		return "", errors.New("render the chat template: it makes nothing of the conversation")
	}
	return out.String(), nil
}

// innermost is the end of an error of the library's, which names every statement on the
// way to what is wrong.
func innermost(err error) string {
	text := err.Error()
	const most = 200
	if len(text) <= most {
		return text
	}
	return "…" + strings.ToValidUTF8(text[len(text)-most:], "")
}

// RefusedError is what a template says of a conversation that it is not for.
type RefusedError struct{ reason error }

// Error is the template's text.
func (e RefusedError) Error() string { return e.reason.Error() }

// recovered makes an error of a panic in the library, which a strange template
// can cause.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the chat template is broken: %v", p)
	}
}

// bounded is a text that may not grow for ever.
type bounded struct{ strings.Builder }

// Write fails when the text becomes too long.
func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxOutput {
		return 0, fmt.Errorf("it makes more than %d bytes", maxOutput)
	}
	return b.Builder.Write(p)
}

// statements is what a template may use: nothing that loads another one.
var statements = []string{"for", "if", "set", "macro", "call", "filter", "with", "raw", "break", "continue", "do"}

// environment is what a template can call.
func environment() *exec.Environment {
	allowed := exec.NewControlStructureSet(map[string]parser.ControlStructureParser{})
	for _, name := range statements {
		if parse, ok := builtins.ControlStructures.Get(name); ok {
			switch name {
			case "for":
				parse = boundedLoop(parse)
			case "macro":
				parse = boundedMacro(parse)
			}
			_ = allowed.Register(name, parse) // a set without it cannot have it twice
		}
	}
	return &exec.Environment{
		Context: exec.EmptyContext().Update(builtins.GlobalFunctions).Update(exec.NewContext(map[string]any{
			"raise_exception": raise, "strftime_now": now, "range": numbers,
		})),
		Filters: builtins.Filters, Tests: builtins.Tests, ControlStructures: allowed, Methods: builtins.Methods,
	}
}

// raise lets a template refuse a conversation.
func raise(e *exec.Evaluator, p *exec.VarArgs) (string, error) {
	err := errors.New("the model's chat template refuses the conversation")
	if len(p.Args) > 0 {
		err = fmt.Errorf("%w: %s", err, p.Args[0].String())
	}
	boundsOf(e.Environment).refusal = err
	return "", err
}

// directives is C's strftime, as far as templates use it, in Go's terms.
var directives = strings.NewReplacer("%Y", "2006", "%m", "01", "%d", "02", "%b", "Jan", "%B", "January", "%H", "15", "%M", "04", "%S", "05", "%A", "Monday", "%a", "Mon", "%y", "06")

// now is today's date, which some models are told.
func now(_ *exec.Evaluator, p *exec.VarArgs) (string, error) {
	if len(p.Args) != 1 {
		return "", errors.New("strftime_now wants a format")
	}
	return time.Now().Format(directives.Replace(p.Args[0].String())), nil
}

// numbers is Jinja's range. The library's own starts a goroutine that lives on
// when the loop is left early.
func numbers(_ *exec.Evaluator, p *exec.VarArgs) ([]int, error) {
	start, stop, step := 0, 0, 1
	switch n := len(p.Args); n {
	case 1:
		stop = p.Args[0].Integer()
	case 2, 3:
		start, stop = p.Args[0].Integer(), p.Args[1].Integer()
		if n == 3 {
			step = p.Args[2].Integer()
		}
	default:
		return nil, errors.New("range wants one to three numbers")
	}
	const most = 100_000
	if step == 0 || (stop-start)/step > most {
		return nil, fmt.Errorf("range(%d, %d, %d) has no end or more than %d numbers", start, stop, step, most)
	}
	var list []int
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		list = append(list, i)
	}
	return list, nil
}
