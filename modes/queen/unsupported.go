package queen

import (
	"context"

	"rbee.dev/rbee/ops"
)

// The operations that need another machine. They are complete in the protocol
// and have no command: reaching machines over SSH is not part of this build.

func unsupported(o ops.Op) error {
	return ops.Errorf(ops.CodeUnsupported, "%s needs another machine, and this build cannot reach one", o.Name()).
		WithHint("only the hive on the queen's own machine, %q, can be used", ops.LocalHive)
}

// SSHTest is refused.
func (q *Queen) SSHTest(_ context.Context, o ops.SSHTest) (ops.SSHReport, error) {
	return ops.SSHReport{}, unsupported(o)
}

// HiveInstall is refused.
func (q *Queen) HiveInstall(_ context.Context, o ops.HiveInstall) (ops.Hive, error) {
	return ops.Hive{}, unsupported(o)
}

// HiveUninstall is refused.
func (q *Queen) HiveUninstall(_ context.Context, o ops.HiveUninstall) (ops.HiveRemoved, error) {
	return ops.HiveRemoved{}, unsupported(o)
}

// HiveUpdate is refused.
func (q *Queen) HiveUpdate(_ context.Context, o ops.HiveUpdate) (ops.Hive, error) {
	return ops.Hive{}, unsupported(o)
}

// HiveStart is refused.
func (q *Queen) HiveStart(_ context.Context, o ops.HiveStart) (ops.Hive, error) {
	return ops.Hive{}, unsupported(o)
}

// HiveStop is refused.
func (q *Queen) HiveStop(_ context.Context, o ops.HiveStop) (ops.Hive, error) {
	return ops.Hive{}, unsupported(o)
}
