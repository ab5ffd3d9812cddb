//go:build !linux

package cores

import (
	"runtime"

	"github.com/shirou/gopsutil/v4/cpu"
)

// Find finds the machine's physical cores. Which CPUs they show themselves as is
// not known here, and counts as one each.
func Find() Cores {
	n, err := cpu.Counts(false)
	if err != nil || n < 1 {
		n = runtime.NumCPU()
	}
	var c Cores
	for i := range n {
		c.List = append(c.List, Core{i})
	}
	return c
}

// Bind does nothing: there is no such call for another process here.
func Bind(int, []int) error { return nil }
