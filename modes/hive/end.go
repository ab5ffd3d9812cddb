package hive

import (
	"context"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
)

// EndCmd is `rbee hive end`.
type EndCmd struct{}

// Help is shown by --help.
func (EndCmd) Help() string {
	return `Ends whatever still runs of this account's hive and its workers, by force if
need be. It is what stopping a hive ends with on its machine.

Example:
  rbee hive end`
}

// Run ends them.
func (EndCmd) Run(_ context.Context, h home.Home) error {
	_, err := daemon.KillLeftovers(h)
	return err
}
