//go:build !race

package modes_test

// raced is whether the race detector is on.
const raced = false
