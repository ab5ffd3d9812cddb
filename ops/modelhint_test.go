package ops

import "testing"

func TestTheHintNamesTheModelsThatWereMeantOrThatThereAre(t *testing.T) {
	for name, tt := range map[string]struct {
		model string
		there []string
		want  string
	}{
		"one that is near":  {"tinybea", []string{"qwen3", "tinybee"}, `did you mean "tinybee"?`},
		"two":               {"qwen3-0.6", []string{"qwen3-0.6b", "qwen3-0.8b", "bee"}, `did you mean "qwen3-0.6b" or "qwen3-0.8b"?`},
		"three":             {"qwen-1b", []string{"qwen-2b", "qwen-3b", "qwen-4b", "qwen-5b"}, `did you mean "qwen-2b", "qwen-3b" or "qwen-4b"?`},
		"none that is near": {"elephant", []string{"bee", "wasp"}, "there are: bee, wasp; `rbee model download` brings others"},
		"none at all":       {"fast", nil, "there is none that may be used; `rbee model download` brings one, and `rbee key list` shows which ones a key is for"},
	} {
		if got := ModelHint(tt.model, tt.there); got != tt.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
