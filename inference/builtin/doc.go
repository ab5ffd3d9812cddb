// Package builtin is the engine that is always there: a transformer in Go, on
// the CPU, over GGUF files. It runs llama (with Mistral, SmolLM, TinyLlama),
// qwen2 and qwen3 models; what it cannot run it refuses before loading, by name.
//
// Several requests run at once, a batch a step. Which requests share a batch
// never changes what one of them gets: every number is computed in the same
// order alone and in company. It downloads nothing and knows no jobs.
package builtin
