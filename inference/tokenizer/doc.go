// Package tokenizer turns text into a model's tokens and back, from the
// vocabulary in the model's own file: SentencePiece with byte fallback
// ("llama") and byte-level BPE ("gpt2") with the pre-tokenizers default,
// gpt-2, llama-bpe, smollm and qwen2. It gives the same tokens as llama.cpp.
//
// A tokenizer or pre-tokenizer that it does not know is refused by name, since
// tokens that are nearly right make text that is subtly wrong. Chat templates
// are package template's.
package tokenizer
