package install

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

// recorder makes steps that note what is done.
type recorder struct{ did []string }

func (r *recorder) step(name string, err, undone error) Step {
	return Step{
		Title: name,
		Run:   func(context.Context) error { r.did = append(r.did, name); return err },
		Undo: func(ctx context.Context) error {
			r.did = append(r.did, "undo "+name)
			return errors.Join(ctx.Err(), undone)
		},
	}
}

func TestAFailedStepUndoesThoseBeforeItLastFirst(t *testing.T) {
	var r recorder
	broken := ops.Errorf(ops.CodeUnavailable, "no space left").WithHint("make room")
	err := Do(t.Context(), r.step("one", nil, nil), r.step("two", nil, nil), r.step("three", broken, nil), r.step("four", nil, nil))
	want := []string{"one", "two", "three", "undo three", "undo two", "undo one"}
	if !slices.Equal(r.did, want) {
		t.Errorf("did %q, want %q", r.did, want)
	}
	e := ops.AsError(err)
	if e.Code != ops.CodeUnavailable || !strings.Contains(e.Message, "three") || !strings.Contains(e.Message, "no space left") || e.Hint != "make room" {
		t.Errorf("got %+v", e)
	}
}

func TestWhatCouldNotBeUndoneIsSaid(t *testing.T) {
	var r recorder
	err := Do(t.Context(), r.step("one", nil, errors.New("the link is gone")), r.step("two", errors.New("cut"), nil))
	if e := ops.AsError(err); !strings.Contains(e.Hint, "the link is gone") || !slices.Contains(r.did, "undo one") {
		t.Errorf("got %+v after %q", e, r.did)
	}
}

func TestACancelledInstallIsUndoneToo(t *testing.T) {
	var r recorder
	ctx, cancel := context.WithCancel(t.Context())
	stop := Step{Title: "two", Run: func(ctx context.Context) error { cancel(); return ctx.Err() }}
	if err := Do(ctx, r.step("one", nil, nil), stop); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if !slices.Equal(r.did, []string{"one", "undo one"}) {
		t.Errorf("did %q", r.did)
	}
}

func TestWhatTheMachineSaidIsInTheError(t *testing.T) {
	err := Do(t.Context(), Step{Title: "copy", Run: func(context.Context) error { return &scriptError{exit: 1, said: "mkdir: Permission denied"} }})
	if e := ops.AsError(err); e.Code != ops.CodeUnavailable || !strings.Contains(e.Message, "Permission denied") {
		t.Errorf("got %+v", e)
	}
}
