// Package gguf reads GGUF model files, versions 2 and 3, little-endian, as
// ggml's docs/gguf.md specifies them: metadata, and where each tensor's data
// lies. The file is mapped, so opening a model reads only its head.
//
// A file may come from anywhere. Every length is held against the bytes that
// are there before anything is made of it, so a damaged or hostile file is an
// [Error] that says what is wrong and where. What the metadata means is for
// others to know; so is computing with the tensors.
package gguf
