package hive

import (
	"strings"

	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/ops"
)

// abilities is what a model's file says that the model can do. Tools and thoughts
// are what its chat template has a place for; one that pools its last layer makes
// vectors in place of text.
func abilities(f *gguf.File) []ops.Ability {
	if _, pools := f.Uint(f.Architecture() + ".pooling_type"); pools {
		return []ops.Ability{ops.AbilityEmbedding}
	}
	can := []ops.Ability{ops.AbilityCompletion}
	template, _ := f.String("tokenizer.chat_template")
	if strings.Contains(template, "tools") {
		can = append(can, ops.AbilityTools)
	}
	if strings.Contains(template, "enable_thinking") || strings.Contains(template, "<think>") {
		can = append(can, ops.AbilityThinking)
	}
	return can
}
