package ops_test

import (
	"testing"

	"rbee.dev/rbee/ops"
)

func TestLookupsAreToldFromWhatChangesAnything(t *testing.T) {
	lookups := map[string]bool{
		"status": true, "hive_list": true, "hive_get": true, "hive_status": true, "worker_list": true, "worker_get": true,
		"model_list": true, "model_get": true, "model_aliases": true, "engine_list": true, "key_list": true, "usage": true, "explain": true,
	}
	for _, o := range ops.All() {
		if got := ops.IsLookup(o.Name()); got != lookups[o.Name()] {
			t.Errorf("%s is a lookup: %t", o.Name(), got)
		}
	}
}

func TestWhatMakesRoomNeedsNone(t *testing.T) {
	for operation, want := range map[string]bool{
		"model_list": true, "model_delete": true, "key_revoke": true, "worker_delete": true, "engine_remove": true,
		"infer": false, "key_create": false, "model_download": false, "hive_install": false, "worker_spawn": false,
	} {
		if ops.RunsUnlogged(operation) != want {
			t.Errorf("%s runs without a log: %t", operation, !want)
		}
	}
}
