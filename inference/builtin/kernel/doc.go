// Package kernel computes with weights as they lie in a GGUF file: products of
// a quantised matrix with vectors, rows turned to float32, and the few vector
// operations that a transformer needs beside.
//
// Each operation has a portable form in Go and, where it pays, one in assembly
// that is chosen at run time. A product of one row and one vector is the same,
// to the bit, whichever vectors share the call and however rows are divided:
// the sums are always taken in one order. Nothing here knows what a model is,
// and nothing starts goroutines.
package kernel
