//go:build race

package modes_test

// raced is whether the race detector is on, which takes several times the memory.
const raced = true
