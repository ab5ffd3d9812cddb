package hive

import (
	"runtime"

	"rbee.dev/rbee/ops"
)

// findApple is the GPU of a Mac with a processor of Apple's. Such a machine has
// one, in the processor, and it shares the memory with the CPU.
func findApple(cpu ops.Device) []ops.Device {
	if runtime.GOOS != "darwin" || runtime.GOARCH != "arm64" {
		return nil
	}
	return []ops.Device{metal(cpu)}
}

// metal is the GPU in the processor cpu.
func metal(cpu ops.Device) ops.Device {
	return ops.Device{ID: "metal:0", Kind: "metal", Name: cpu.Name, SharesMemory: true}
}
