package kernel

import "golang.org/x/sys/cpu"

// levels are the ways to compute on this processor, the fastest last.
func levels() []level {
	list := []level{portable()}
	// Every processor with AVX2 has F16C too (Intel since Haswell, AMD since
	// Excavator), and x/sys/cpu does not tell it apart.
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		list = append(list, level{"AVX2", applyAVX2})
	}
	return list
}
