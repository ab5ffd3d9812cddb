//go:build !linux

package hive

// ownMemory is not known here.
func ownMemory(int) (bytes uint64, known bool) { return 0, false }
