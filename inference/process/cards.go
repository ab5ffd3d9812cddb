package process

import (
	"slices"
	"strings"
)

// ByBus adds to an environment what has CUDA count cards as nvidia-smi does, by the
// bus, and not the fastest first (CUDA programming guide, "CUDA environment
// variables"). One that says itself how to count stays as it is.
func ByBus(env []string) []string {
	const variable = "CUDA_DEVICE_ORDER="
	if slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, variable) }) {
		return env
	}
	return append(env, variable+"PCI_BUS_ID")
}
