//go:build !linux

package hive

// ownMemory is not known here.
func ownMemory(int) (bytes uint64, known bool) { return 0, false }

// family is the process alone: what is below it is not known here.
func family(pid int) []int { return []int{pid} }
