// Package llamacpp is the engine that is llama.cpp's own server program,
// llama-server: it finds the program, starts it with what a model and its
// [inference.Spec] ask for, and passes requests on to it untouched, so that
// whatever it can do works: streams, tools, schemas, images, embeddings,
// ranking. Running and watching it is the work of package process.
//
// The options are those of llama.cpp's tools/server/README.md. The program
// listens on a Unix socket, which it can since spring 2025 (llama.cpp pull request
// 12613). Installing it is for others.
package llamacpp
