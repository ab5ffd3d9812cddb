package keeper

import (
	"os"
	"slices"
	"strings"
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

func TestARestartedQueenListensWhereItDidUnlessTheVariableSaysOtherwise(t *testing.T) {
	for _, tt := range []struct{ before, variable, want string }{
		{"127.0.0.1:7900", "", "127.0.0.1:7900"},
		{"127.0.0.1:7900", "127.0.0.1:7833", "127.0.0.1:7833"},
		{"127.0.0.1:7900", "127.0.0.1:0", "127.0.0.1:7900"},
		{"127.0.0.1:7900", "0.0.0.0:0", "0.0.0.0:7900"},
		{"127.0.0.1:7900", "[::1]:0", "[::1]:7900"},
		{"127.0.0.1:7900", "nonsense", "nonsense"}, // which the queen refuses
	} {
		t.Setenv("RBEE_LISTEN", tt.variable)
		if got := address(tt.before); got != tt.want {
			t.Errorf("before %s, RBEE_LISTEN=%s: %s, want %s", tt.before, tt.variable, got, tt.want)
		}
	}
}

func TestWhatAQueenDownloadedWithStaysUnlessItIsSetNow(t *testing.T) {
	t.Setenv("HF_ENDPOINT", "")
	for _, name := range []string{"HF_TOKEN", "NO_PROXY", "HTTP_PROXY"} {
		if value, set := os.LookupEnv(name); set {
			t.Setenv(name, value) // so that it comes back
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	var said strings.Builder
	k := Keeper{Stderr: &said}
	k.inherit([]string{"HF_TOKEN", "HF_ENDPOINT=http://mirror.example", "HTTP_PROXY=http://proxy.example/?a=b", "NO_PROXY=127.0.0.1"})
	if want := []string{"HTTP_PROXY=http://proxy.example/?a=b", "NO_PROXY=127.0.0.1"}; !slices.Equal(k.inherited, want) {
		t.Errorf("got %q, want %q", k.inherited, want)
	}
	if strings.Count(said.String(), "\n") != 1 || !strings.Contains(said.String(), "HF_TOKEN") {
		t.Errorf("it says %s", said.String())
	}
}
