package daemon_test

import (
	"slices"
	"testing"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

func TestSecretsAreNotHandedOn(t *testing.T) {
	for _, name := range ops.VariableNames() {
		t.Setenv(name, "")
	}
	for name, value := range map[string]string{
		"HF_TOKEN": "hf_secret", "HF_ENDPOINT": "https://mirror.example/hf", "HTTPS_PROXY": "http://bee:honey@proxy.example", "HTTP_PROXY": "http://bee@proxy.example", "NO_PROXY": "a,b",
	} {
		t.Setenv(name, value)
	}
	want := []string{"HF_TOKEN", "HF_ENDPOINT=https://mirror.example/hf", "HTTPS_PROXY", "HTTP_PROXY=http://bee@proxy.example", "NO_PROXY=a,b"}
	if got := daemon.Handed(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
