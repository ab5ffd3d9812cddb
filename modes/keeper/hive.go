package keeper

import (
	"context"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

// Trust is the flags of commands that may meet a machine for the first time.
type Trust struct {
	AcceptNewHostKey bool `help:"Trust the host key of a machine never seen before. A key that has changed is refused all the same."`
	AskPassword      bool `help:"Ask for the account's password, where no key is accepted."`
}

// HiveTest is `rbee hive test`.
type HiveTest struct {
	Op ops.SSHTest `embed:""`
	Trust
}

// Help is the example that --help shows.
func (c *HiveTest) Help() string {
	return `Connects as ssh would (configuration, agent, keys, known hosts), tells what the
machine is and what would be in the way of a hive, and changes nothing there.

Example:
  ` + examples[c.Op.Name()]
}

// Run tests the machine.
func (c *HiveTest) Run(ctx context.Context, k *Keeper) error {
	if err := c.Op.Validate(); err != nil {
		return err
	}
	if err := k.login(ctx, ops.Login{SSHAddress: c.Op.SSHAddress}, c.Trust); err != nil {
		return err
	}
	return do(ctx, k, c.Op)
}

// HiveInstall is `rbee hive install`.
type HiveInstall struct {
	Op ops.HiveInstall `embed:""`
	Trust
}

// Help is the example that --help shows.
func (c *HiveInstall) Help() string {
	return `Copies this binary to the machine, starts a hive there as a service, waits until
it answers and records it. The machine needs an SSH account and nothing else: no
root, no open port. Done again, it keeps what is there. A step that fails undoes
those before it.

Without --host the hive of this machine becomes a service of its own, which runs
without a queen.

Examples:
  ` + examples[c.Op.Name()] + `
  rbee hive install --host gpu1 --add-key --accept-new-host-key
  rbee hive install`
}

// Run installs the hive.
func (c *HiveInstall) Run(ctx context.Context, k *Keeper) error {
	if err := c.Op.Validate(); err != nil {
		return err
	}
	if c.Op.SSHHost != "" {
		if err := k.login(ctx, ops.Login{SSHAddress: c.Op.SSHAddress}, c.Trust); err != nil {
			return err
		}
		if !c.Op.AddKey {
			c.Op.AddKey = k.offerKey(ctx, c.Op.SSHHost)
		}
	}
	return do(ctx, k, c.Op)
}

// HiveUpdate is `rbee hive update`.
type HiveUpdate struct {
	Op ops.HiveUpdate `embed:""`
	Trust
}

// Help is the example that --help shows.
func (c *HiveUpdate) Help() string {
	return `Gives the hive the queen's build, or the one of --binary, where it has another;
its workers and the answers they give go on. A build that does not answer is
taken back. It also changes the hive's address and name.

Examples:
  ` + examples[c.Op.Name()] + `
  rbee hive update gpu1 --host alice@10.0.0.7 --name attic`
}

// Run updates the hive.
func (c *HiveUpdate) Run(ctx context.Context, k *Keeper) error {
	if err := c.Op.Validate(); err != nil {
		return err
	}
	if c.Op.SSHHost != "" {
		if err := k.login(ctx, ops.Login{SSHAddress: c.Op.SSHAddress}, c.Trust); err != nil {
			return err
		}
	} else if err := k.helpLink(ctx, c.Op.HiveID, c.Trust); err != nil {
		return err
	}
	return do(ctx, k, c.Op)
}

// HiveStart is `rbee hive start`.
type HiveStart struct {
	Op ops.HiveStart `embed:""`
	Trust
}

// Help is the example that --help shows.
func (c *HiveStart) Help() string { return exampleOf(c.Op.Name()) }

// Run starts the hive.
func (c *HiveStart) Run(ctx context.Context, k *Keeper) error {
	if err := k.helpLink(ctx, c.Op.HiveID, c.Trust); err != nil {
		return err
	}
	return do(ctx, k, c.Op)
}

// HiveStop is `rbee hive stop`.
type HiveStop struct {
	Op ops.HiveStop `embed:""`
	Trust
}

// Help is the example that --help shows.
func (c *HiveStop) Help() string { return exampleOf(c.Op.Name()) }

// Run stops the hive.
func (c *HiveStop) Run(ctx context.Context, k *Keeper) error {
	if k.canStopAlone(c.Op.HiveID) {
		return k.stopAlone()
	}
	if err := k.helpLink(ctx, c.Op.HiveID, c.Trust); err != nil {
		return err
	}
	return do(ctx, k, c.Op)
}

// canStopAlone reports whether the hive can be stopped without a queen, where none
// runs: it is this machine's, and no service that would start it again.
func (k *Keeper) canStopAlone(hive string) bool {
	if _, running := k.running(); running || k.Queen != "" || hive != "" && hive != ops.LocalHive {
		return false
	}
	record, err := daemon.Read(k.Home.PIDFile("hive"))
	return err != nil || !record.Service
}

// stopAlone ends this machine's hive and its workers. No queen is started for that.
func (k *Keeper) stopAlone() error {
	ended, err := daemon.KillLeftovers(k.Home)
	if err != nil {
		return err
	}
	why := "no hive was running on this machine, and no queen is"
	if ended > 0 {
		why = "stopped by `rbee hive stop`, without a queen"
	}
	return k.show(ops.Hive{ID: ops.LocalHive, State: ops.HiveDown, Error: why, LogPath: k.Home.Log("hive")})
}

// HiveUninstall is `rbee hive uninstall`.
type HiveUninstall struct {
	Op ops.HiveUninstall `embed:""`
	Trust
}

// Help is the example that --help shows.
func (c *HiveUninstall) Help() string {
	return `Ends the hive and its workers and removes all that installing made, and the
models and engines only with --models.

Examples:
  ` + examples[c.Op.Name()] + `
  rbee hive uninstall gpu1 --catalog-only`
}

// Run uninstalls the hive.
func (c *HiveUninstall) Run(ctx context.Context, k *Keeper) error {
	if !c.Op.CatalogOnly {
		if err := k.helpLink(ctx, c.Op.HiveID, c.Trust); err != nil {
			return err
		}
	}
	return do(ctx, k, c.Op)
}
