package template

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins/control_structures"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/parser"
)

const (
	// renderWithin is how long a template may take: what is meant well takes some
	// milliseconds.
	renderWithin = 5 * time.Second
	// deepest is how many macros may have called one another. Go ends the whole
	// process where a stack grows without end.
	deepest = 200
)

// bounds is what one rendering may take. The library knows none.
type bounds struct {
	ctx   context.Context //nolint:containedctx // of the one rendering that it bounds
	until time.Time
	depth int
	// refusal is what the template has raised itself, over by what it is out of bounds: the
	// library's errors hold the whole way to them.
	refusal, over error
}

// boundsKey is where the statements of a template find the bounds: no template can
// name it.
const boundsKey = "bounds of the rendering"

func boundsOf(e *exec.Environment) *bounds {
	b, _ := e.Context.Get(boundsKey)
	found, _ := b.(*bounds)
	return found
}

// check is the error of a rendering that has gone on for too long.
func (b *bounds) check() error {
	if b.ctx.Err() != nil {
		return context.Cause(b.ctx)
	}
	if time.Now().After(b.until) {
		b.over = fmt.Errorf("it takes more than %s", renderWithin)
	}
	return b.over
}

// turn is a statement of ours at the beginning of a loop's body.
type turn struct{ nodes.ControlStructure }

// Execute checks the bounds.
func (turn) Execute(r *exec.Renderer, _ *nodes.ControlStructureBlock) error {
	return boundsOf(r.Environment).check()
}

// boundedLoop parses a loop, each turn of which checks the bounds.
func boundedLoop(parse parser.ControlStructureParser) parser.ControlStructureParser {
	return func(p, args *parser.Parser) (nodes.ControlStructure, error) {
		parsed, err := parse(p, args)
		loop, ok := parsed.(*controlStructures.ForControlStructure)
		if err != nil || !ok {
			return parsed, err
		}
		if loop.Recursive {
			return nil, args.Error("a loop that calls itself is not supported", nil)
		}
		first := &nodes.ControlStructureBlock{Location: loop.Position(), Name: "turn", ControlStructure: turn{loop}}
		loop.BodyWrapper.Nodes = append([]nodes.Node{first}, loop.BodyWrapper.Nodes...)
		return loop, nil
	}
}

// macro is one whose calls are counted while they last.
type macro struct {
	*controlStructures.MacroControlStructure
}

var errTooDeep = fmt.Errorf("its macros call one another more than %d times", deepest)

// Execute defines the macro.
func (m macro) Execute(r *exec.Renderer, tag *nodes.ControlStructureBlock) error {
	if err := m.MacroControlStructure.Execute(r, tag); err != nil {
		return err
	}
	defined, _ := r.Environment.Context.Get(m.Name)
	call, ok := defined.(exec.Macro)
	if !ok {
		return errors.New("the macro is none")
	}
	b := boundsOf(r.Environment)
	r.Environment.Context.Set(m.Name, exec.Macro(func(params *exec.VarArgs) *exec.Value {
		if b.depth >= deepest {
			b.over = errTooDeep
		}
		if err := b.check(); err != nil {
			return exec.AsValue(err)
		}
		b.depth++
		defer func() { b.depth-- }()
		return call(params)
	}))
	return nil
}

// boundedMacro parses a macro.
func boundedMacro(parse parser.ControlStructureParser) parser.ControlStructureParser {
	return func(p, args *parser.Parser) (nodes.ControlStructure, error) {
		parsed, err := parse(p, args)
		if m, ok := parsed.(*controlStructures.MacroControlStructure); ok && err == nil {
			return macro{m}, nil
		}
		return parsed, err
	}
}
