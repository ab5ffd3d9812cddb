package install

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rbee.dev/rbee/ops"
)

// Step is a part of a change to a machine.
type Step struct {
	Action string // stable snake_case word, for the narration
	Title  string // what it does, for a person: "copy the binary"
	Run    func(context.Context) error
	Undo   func(context.Context) error // nil when there is nothing to undo
}

// undoWithin bounds the undoing of all steps: the link may be what failed.
const undoWithin = 20 * time.Second

// Do runs the steps in order. When one fails, those before it are undone, last
// first, and so is the failed one, which may have got halfway. The error says
// which step it was.
func Do(ctx context.Context, steps ...Step) error {
	for i, s := range steps {
		err := s.Run(ctx)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		undone := undo(ctx, steps[:i+1])
		return stepFailed(s.Title, err, undone)
	}
	return nil
}

func undo(ctx context.Context, steps []Step) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWithin)
	defer cancel()
	var errs []error
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].Undo == nil {
			continue
		}
		if err := steps[i].Undo(ctx); err != nil {
			errs = append(errs, fmt.Errorf("undo %q: %w", steps[i].Title, err))
		}
	}
	return errors.Join(errs...)
}

// stepFailed keeps the code and the hint of what failed.
func stepFailed(title string, err, undone error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, ops.ErrDetached) {
		return err
	}
	e := ops.AsError(err)
	code := e.Code
	if _, over := errors.AsType[*scriptError](err); over {
		code = ops.CodeUnavailable
	}
	failed := ops.Errorf(code, "could not %s: %w", title, err)
	failed.Field = e.Field
	switch {
	case undone != nil:
		return failed.WithHint("what was done before could not all be undone (%v); the next install cleans up", undone)
	case e.Hint != "":
		return failed.WithHint("%s", e.Hint)
	}
	return failed.WithHint("what was done before is undone: the machine is as it was")
}
