//go:build !linux

package hive

// zoneInfo is no file here.
const zoneInfo = ""

// freed is not known here.
func freed(string) uint64 { return 0 }
