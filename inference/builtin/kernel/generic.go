//go:build !amd64 && !arm64

package kernel

// levels has nothing but the portable code on this architecture.
func levels() []level { return []level{portable()} }
