package builtin_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/tokenizer"
)

// compareTokens holds our tokens of each text against llama-server's.
func compareTokens(t *testing.T, server llamaServer, model []byte, texts []string) {
	t.Helper()
	f, err := gguf.Parse(model)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.New(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		for _, special := range []bool{false, true} {
			var want struct{ Tokens []int32 }
			server.post(t, "/tokenize", map[string]any{"content": text, "add_special": special, "parse_special": special}, &want)
			if diff := cmp.Diff(want.Tokens, tok.Encode(text, special, special), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%q, special %v (-llama.cpp +ours):\n%s", text, special, diff)
			}
		}
	}
}
