package keeper

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"rbee.dev/rbee/ops"
)

// TestAnAnswerThatBreaksOffSaysSoAndWhatIsNext: its queen was killed, or the line cut.
func TestAnAnswerThatBreaksOffSaysSoAndWhatIsNext(t *testing.T) {
	const piece = "data: {\"choices\":[{\"delta\":{\"content\":\"Once\"}}]}\n\n"
	for why, body := range map[string]io.Reader{
		"its connection ended":          io.MultiReader(strings.NewReader(piece), iotest.ErrReader(io.ErrUnexpectedEOF)),
		"io: read/write on closed pipe": io.MultiReader(strings.NewReader(piece), iotest.ErrReader(io.ErrClosedPipe)),
	} {
		var said strings.Builder
		c := conversation{keeper: &Keeper{Stderr: io.Discard}}
		err := ops.AsError(c.read(body, &said))
		if said.String() != "Once" || err.Message != "the queen broke the answer off: "+why || !strings.Contains(err.Hint, "rbee queen status") {
			t.Errorf("it says %q, then %q (%q)", &said, err.Message, err.Hint)
		}
	}
}
