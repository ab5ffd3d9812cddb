package tokenizer

import "fmt"

// Check is how many tokens the vocabulary of a model file has, or why [New] would
// refuse it. It builds nothing, and costs little.
func Check(md Metadata) (tokens int, err error) {
	pieces, _ := md.Strings("tokenizer.ggml.tokens")
	if err := check(md, len(pieces)); err != nil {
		return 0, fmt.Errorf("read the tokenizer: %w", err)
	}
	return len(pieces), nil
}

func check(md Metadata, tokens int) error {
	types, _ := md.Ints("tokenizer.ggml.token_type")
	switch {
	case tokens == 0:
		return fmt.Errorf("the file has no tokenizer.ggml.tokens")
	case tokens > maxVocabulary:
		return fmt.Errorf("%d tokens are more than %d", tokens, maxVocabulary)
	case types != nil && len(types) != tokens:
		return fmt.Errorf("%d tokens have %d types", tokens, len(types))
	}
	for _, name := range []string{"bos", "eos"} {
		if id, ok := md.Uint("tokenizer.ggml." + name + "_token_id"); ok && id >= uint64(tokens) { //nolint:gosec // not negative
			return fmt.Errorf("the %s token %d is not among the %d tokens", name, id, tokens)
		}
	}
	switch model, _ := md.String("tokenizer.ggml.model"); model {
	case "llama":
		if scores, _ := md.Floats("tokenizer.ggml.scores"); len(scores) != tokens {
			return fmt.Errorf("%d tokens have %d scores", tokens, len(scores))
		}
	case "gpt2":
		return checkBytePair(md)
	default:
		return fmt.Errorf("the model %q is not known (llama and gpt2 are)", model)
	}
	return nil
}

func checkBytePair(md Metadata) error {
	if name := preTokenizer(md); splitters[name] == nil {
		return fmt.Errorf("the pre-tokenizer %q is not known (default, gpt-2, llama-bpe, smollm and qwen2 are)", name)
	}
	merges, _ := md.Strings("tokenizer.ggml.merges")
	for i, m := range merges {
		if _, _, ok := cutMerge(m); !ok {
			return fmt.Errorf("merge %d, %q, is not two texts with a space between", i, m)
		}
	}
	return nil
}

// preTokenizer is the name of the file's way to split a text.
func preTokenizer(md Metadata) string {
	if name, ok := md.String("tokenizer.ggml.pre"); ok {
		return name
	}
	return "default"
}
