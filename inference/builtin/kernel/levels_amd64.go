package kernel

import "golang.org/x/sys/cpu"

// levels are the ways to compute on this processor, the fastest last.
func levels() []level {
	list := []level{portable()}
	// Every processor with AVX2 has F16C too (Intel since Haswell, AMD since
	// Excavator), and x/sys/cpu does not tell it apart.
	if !cpu.X86.HasAVX2 || !cpu.X86.HasFMA {
		return list
	}
	list = append(list, level{"AVX2", applyAVX2})
	if !cpu.X86.HasAVX512F || !cpu.X86.HasAVX512BW || !cpu.X86.HasAVX512DQ || !cpu.X86.HasAVX512VL {
		return list
	}
	list = append(list, level{"AVX-512", applyAVX512})
	if cpu.X86.HasAVX512VNNI {
		list = append(list, level{"VNNI", applyVNNI})
	}
	return list
}
