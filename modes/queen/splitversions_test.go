package queen

import (
	"testing"

	"rbee.dev/rbee/ops"
)

func TestVersionsThatDifferAreToldWithWhatMakesThemTheSame(t *testing.T) {
	has := func(hive, version string) ops.Engine {
		return ops.Engine{HiveID: hive, Name: "llamacpp", Version: version, Used: true}
	}
	unused := ops.Engine{HiveID: "gpu2", Name: "llamacpp", Version: "b1"}
	own := ops.Engine{HiveID: "gpu2", Name: "builtin", Version: "dev", Used: true}
	for name, tt := range map[string]struct {
		engines []ops.Engine
		want    string
	}{
		"the same":           {engines: []ops.Engine{has("gpu1", "b9000"), has("gpu2", "b9000"), unused, own, has("attic", "b1")}},
		"nobody tells":       {engines: []ops.Engine{has("gpu1", ""), has("gpu2", "")}},
		"the first does not": {engines: []ops.Engine{has("gpu2", "b9000")}},
		"one differs": {
			[]ops.Engine{has("gpu1", "b9000"), has("gpu2", "b8000"), unused},
			"llama.cpp is b9000 on gpu1, b8000 on gpu2, and must be the same: `rbee engine install b9000 --hive gpu2`",
		},
		"of those with a name": {
			[]ops.Engine{has("gpu1", "0.7.0"), has("gpu2", "b8000"), has("gpu3", "b8000")},
			"llama.cpp is 0.7.0 on gpu1, b8000 on gpu2, b8000 on gpu3, and must be the same: `rbee engine install v0.7.0 --hive gpu2`, `rbee engine install v0.7.0 --hive gpu3`",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := differing(tt.engines, []string{"gpu1", "gpu2", "gpu3"}); got != tt.want {
				t.Errorf("it says %q, want %q", got, tt.want)
			}
		})
	}
}
