package ops_test

import (
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestAHivesEnvironmentIsChecked(t *testing.T) {
	for _, c := range []struct{ name, value, says string }{
		{"HF_TOKEN", "hf_abcDEF-1.2", ""},
		{"HF_TOKEN", "", ""},
		{"HF_TOKEN", "hf_secret\nX: y", "HF_TOKEN must be of 4096 characters at most, without spaces"},
		{"HF_TOKEN", strings.Repeat("secret", 1000), "4096 characters"},
		{"HF_ENDPOINT", "https://hf-mirror.example/x", ""},
		{"HF_ENDPOINT", "secret.example", "must be a URL"},
		{"HF_ENDPOINT", "socks5://secret:1", "must be a URL"},
		{"HTTPS_PROXY", "http://bob:secret@proxy:3128", ""},
		{"HTTPS_PROXY", "socks5://proxy:1080", ""},
		{"HTTPS_PROXY", "ftp://secret", "must be a URL"},
		{"NO_PROXY", "localhost,.example.org", ""},
		{"LD_PRELOAD", "/tmp/secret.so", `a hive has no variable "LD_PRELOAD": there are HF_TOKEN, HF_ENDPOINT`},
	} {
		err := ops.Environment{HiveID: "gpu1", Set: map[string]string{c.name: c.value}}.Validate()
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s=%s: %v", c.name, c.value, err)
		case c.says != "" && (ops.CodeOf(err) != ops.CodeInvalid || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret")):
			t.Errorf("%s=%s: %v", c.name, c.value, err)
		}
	}
	if err := (ops.Environment{}).Validate(); ops.CodeOf(err) != ops.CodeInvalid {
		t.Errorf("without a hive: %v", err)
	}
}
