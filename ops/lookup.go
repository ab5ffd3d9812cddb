package ops

import "strings"

// IsLookup reports whether an operation only tells what there is: whoever looks
// for what was done does not look for those.
func IsLookup(operation string) bool {
	switch operation {
	case "status", "hive_status", "model_aliases", "explain", "usage":
		return true
	}
	return strings.HasSuffix(operation, "_list") || strings.HasSuffix(operation, "_get")
}
