package queen

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"rbee.dev/rbee/ops"
)

// aboutRPC is in what llama.cpp says of failures between it and another one.
const aboutRPC = "RPC"

// tellVersions says of a divided model that failed in llama.cpp's RPC which version
// each hive has, where these differ: they must be the same, or nearly so.
func (q *Queen) tellVersions(ctx context.Context, hives []string, failure error) error {
	if !strings.Contains(failure.Error(), aboutRPC) {
		return failure
	}
	hint := differing(q.engines(ctx).Engines, hives)
	if hint == "" {
		return failure
	}
	return ops.AsError(failure).WithHint("%s", hint)
}

// build is a version as llama.cpp's releases are numbered.
var build = regexp.MustCompile(`^b\d+$`)

// differing says which llama.cpp each of the hives runs, and what makes them the
// same as the first, or "" where they are or nothing tells.
func differing(engines []ops.Engine, hives []string) string {
	versions := map[string]string{}
	for _, e := range engines {
		if e.Name == "llamacpp" && e.Used && e.Version != "" {
			versions[e.HiveID] = e.Version
		}
	}
	first := versions[hives[0]]
	release := first
	if !build.MatchString(first) {
		release = "v" + first
	}
	var have, commands []string
	for _, id := range hives {
		v := versions[id]
		if v == "" {
			continue
		}
		have = append(have, v+" on "+id)
		if first != "" && v != first {
			commands = append(commands, fmt.Sprintf("`rbee engine install %s --hive %s`", release, id))
		}
	}
	if len(commands) == 0 {
		return ""
	}
	return fmt.Sprintf("llama.cpp is %s, and must be the same: %s", strings.Join(have, ", "), strings.Join(commands, ", "))
}
