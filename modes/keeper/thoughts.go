package keeper

import (
	"fmt"
	"os"
	"strings"

	"rbee.dev/rbee/ops"
)

// thoughts shows what a model thinks before it answers, on standard error: it is no
// part of the answer. At a terminal it is dim.
type thoughts struct {
	k     *Keeper
	begun bool
	line  bool // the last piece ended a line
}

// show shows a piece.
func (t *thoughts) show(piece string) {
	if t.k.Quiet || piece == "" || !t.begun && strings.TrimSpace(piece) == "" {
		return
	}
	if !t.begun {
		t.begun = true
		fmt.Fprint(t.k.Stderr, t.style("\x1b[2m")+"thinks: ")
		piece = strings.TrimLeft(piece, "\n ")
	}
	fmt.Fprint(t.k.Stderr, ops.Printable(piece))
	t.line = strings.HasSuffix(piece, "\n")
}

// end is called before the answer begins, and where there is none.
func (t *thoughts) end() {
	if !t.begun {
		return
	}
	t.begun = false
	if fmt.Fprint(t.k.Stderr, t.style("\x1b[0m")); !t.line {
		fmt.Fprintln(t.k.Stderr)
	}
}

// style is the sequence, where standard error is a terminal that takes it.
func (t *thoughts) style(sequence string) string {
	if os.Getenv("NO_COLOR") != "" || !atTerminal(t.k.Stderr) {
		return ""
	}
	return sequence
}
