// Package kernel computes with weights as they lie in a GGUF file: products of
// a quantised matrix with vectors, rows turned to float32, and the few vector
// operations that a transformer needs beside.
//
// Each operation has a portable form in Go and, where it pays, others in
// assembly, of which the fastest that the processor has is chosen at run time:
// AVX2, AVX-512 and AVX-512 with VNNI on amd64, NEON on arm64. A product of one
// row and one vector is the same, to the bit, whichever vectors share the call
// and however rows are divided: the sums are always taken in one order. Nothing
// here knows what a model is, and nothing starts goroutines.
package kernel
