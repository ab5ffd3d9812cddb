package keeper

import (
	"bytes"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestAListWithNothingInItSaysWhatMakesTheFirst(t *testing.T) {
	for _, list := range []any{ops.Workers{}, ops.Models{}, ops.Keys{}, ops.Aliases{}} {
		var out bytes.Buffer
		k := &Keeper{Stdout: &out, Stderr: &out}
		if err := k.table(list); err != nil || !strings.HasPrefix(out.String(), "no ") || !strings.Contains(out.String(), "`rbee ") || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%T: %v, %q", list, err, out.String())
		}
	}
}
