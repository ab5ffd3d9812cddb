package hive

import (
	"context"
	"runtime"
	"strings"

	"github.com/shirou/gopsutil/v4/cpu"
	xcpu "golang.org/x/sys/cpu"

	"rbee.dev/rbee/ops"
)

// findCPU reads what the CPU is.
func findCPU(ctx context.Context) ops.Device {
	d := ops.Device{ID: "cpu", Kind: "cpu", Name: runtime.GOARCH, Cores: runtime.NumCPU(), InstructionSets: instructionSets()}
	if infos, err := cpu.InfoWithContext(ctx); err == nil && len(infos) > 0 && infos[0].ModelName != "" {
		d.Name = infos[0].ModelName
	}
	d.MemoryBytes, d.MemoryFreeBytes = memory(ctx)
	return d
}

// instructionSets names the vector extensions that matter to inference.
func instructionSets() string {
	var list []string
	for _, set := range []struct {
		name string
		has  bool
	}{
		{"avx2", xcpu.X86.HasAVX2},
		{"fma", xcpu.X86.HasFMA},
		{"avx512f", xcpu.X86.HasAVX512F},
		{"avx512_vnni", xcpu.X86.HasAVX512VNNI},
		{"asimd", xcpu.ARM64.HasASIMD},
		{"asimddp", xcpu.ARM64.HasASIMDDP},
	} {
		if set.has {
			list = append(list, set.name)
		}
	}
	return strings.Join(list, " ")
}
