//go:build !amd64 && !arm64

package kernel

import "rbee.dev/rbee/inference/gguf"

// accelerate has nothing to add on this architecture.
func accelerate(map[gguf.Type]*format) {}

func dotFloats(a, b []float32) float32 { return dotFloatsGo(a, b) }

func addScaled(dst, x []float32, s float32) { addScaledGo(dst, x, s) }
