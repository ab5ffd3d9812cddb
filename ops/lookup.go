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

// RunsUnlogged reports whether an operation is done though nothing of it can be
// written down, as on a full disk: those that only look, and those by which a person
// makes room, or keeps somebody out. Each can be asked for again.
func RunsUnlogged(operation string) bool {
	switch operation {
	case "key_revoke", "worker_delete", "model_delete", "engine_remove":
		return true
	}
	return IsLookup(operation)
}
