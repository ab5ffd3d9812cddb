package keeper

import (
	"slices"
	"testing"
)

func TestVariablesThatAreSetNowWinOverARestartedQueensFlags(t *testing.T) {
	t.Setenv("RBEE_QUEUE_DEPTH", "1")
	t.Setenv("RBEE_AUTO_DOWNLOAD", "1")
	got := kept([]string{"--tls=self", "--queue-depth=512", "--auto-download", "--policy=packed", "--other=x"})
	if want := []string{"--tls=self", "--policy=packed", "--other=x"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
