package ops_test

import (
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestWhatIsNearToARepositoryOfTheHubIsUnderstood(t *testing.T) {
	for given, want := range map[string]string{
		"HF:Qwen/Qwen3-0.6B-GGUF":                              "hf:Qwen/Qwen3-0.6B-GGUF",
		"hf.co/Qwen/Qwen3-0.6B-GGUF":                           "hf:Qwen/Qwen3-0.6B-GGUF",
		"hf.co/Qwen/Qwen3-0.6B-GGUF:Q8_0":                      "hf:Qwen/Qwen3-0.6B-GGUF:Q8_0",
		"huggingface.co/Qwen/Qwen3-0.6B-GGUF/":                 "hf:Qwen/Qwen3-0.6B-GGUF",
		"https://huggingface.co/Qwen/Qwen3-0.6B-GGUF":          "hf:Qwen/Qwen3-0.6B-GGUF",
		"https://huggingface.co/Qwen/Qwen3-0.6B-GGUF/":         "hf:Qwen/Qwen3-0.6B-GGUF",
		"HTTPS://HuggingFace.co/Qwen/Qwen3-GGUF/tree/main":     "hf:Qwen/Qwen3-GGUF",
		"https://hf.co/Qwen/Qwen3-0.6B-GGUF":                   "hf:Qwen/Qwen3-0.6B-GGUF",
		"https://huggingface.co/Qwen/Q/resolve/main/q-Q8.gguf": "", // a file
		"https://huggingface.co/Qwen":                          "",
		"https://example.org/Qwen/Qwen3-0.6B-GGUF":             "",
		"Qwen/Qwen3-0.6B-GGUF":                                 "",
		"https://huggingface.co/Qwen/Qwen3-GGUF/tree/main/":    "hf:Qwen/Qwen3-GGUF",
		"hf.co": "",
		"qwen3": "",
		"":      "",
	} {
		if got := ops.NearHub(given); got != want {
			t.Errorf("%q is %q, want %q", given, got, want)
		}
	}
	for _, o := range []ops.Op{
		ops.ModelDownload{Model: "https://huggingface.co/Qwen/Qwen3-GGUF"}, ops.ModelDownload{Model: "http://hf.co/Qwen/Qwen3-GGUF/"},
	} {
		if err := o.Validate(); ops.CodeOf(err) != ops.CodeInvalid || ops.AsError(err).Field != "model" || !strings.HasSuffix(ops.AsError(err).Hint, "is given as hf:Qwen/Qwen3-GGUF") {
			t.Errorf("%+v: %+v", o, ops.AsError(err))
		}
	}
	if err := (ops.ModelDownload{Model: "https://huggingface.co/Qwen/Q/resolve/main/q-Q8.gguf"}).Validate(); err != nil {
		t.Error(err)
	}
}
