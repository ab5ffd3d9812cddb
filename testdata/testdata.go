// Package testdata holds the built-in model, tinybee: a llama-architecture
// model of 1.7 million weights that tells small stories about bees. It is
// embedded in the binary, so that rbee's first command needs no download.
//
// tinybee/README.md says how it is made. Its text and weights are rbee's own,
// under rbee's licence.
package testdata

import _ "embed"

// TinybeeName is the built-in model's name.
const TinybeeName = "tinybee"

//go:embed tinybee.gguf
var tinybee []byte

// Tinybee is the built-in model's GGUF file. It must not be written to.
func Tinybee() []byte { return tinybee }
