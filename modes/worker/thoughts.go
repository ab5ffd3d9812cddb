package worker

import (
	"context"
	"strings"

	"rbee.dev/rbee/ops"
)

// thoughts is what a model thinks before it answers. It is no part of the answer's
// text: a person is told of it a line at a time, and the result has it apart.
type thoughts struct {
	all  strings.Builder
	line strings.Builder // what is not told yet
}

// take takes a piece.
func (t *thoughts) take(ctx context.Context, piece string) {
	t.all.WriteString(piece)
	for {
		line, rest, whole := strings.Cut(piece, "\n")
		if t.line.WriteString(line); !whole {
			return
		}
		t.tell(ctx)
		piece = rest
	}
}

// tell tells of the line that has come, if there is anything in it.
func (t *thoughts) tell(ctx context.Context) {
	if line := strings.TrimSpace(t.line.String()); line != "" {
		ops.Narrate(ctx, "thought", "thinks: %s", line)
	}
	t.line.Reset()
}
