package queen

import (
	"context"
	"fmt"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/queen/install"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
)

// SSHTest connects to a machine, looks at it, and changes nothing there.
func (q *Queen) SSHTest(ctx context.Context, o ops.SSHTest) (ops.SSHReport, error) {
	target, err := targetOf(o.SSHAddress)
	if err != nil {
		return ops.SSHReport{}, err
	}
	conn, err := q.connect(ctx, target)
	if err != nil {
		return ops.SSHReport{}, err
	}
	defer conn.Close()
	facts, err := install.Look(ctx, conn, "")
	if err != nil {
		return ops.SSHReport{}, err
	}
	wrongClock(ctx, facts)
	service := "detached"
	if facts.Systemd {
		service = "systemd"
	}
	return ops.SSHReport{
		Host: conn.Hop().String(), User: facts.User, OS: facts.Platform.OS, Architecture: facts.Platform.Arch,
		Devices: facts.Devices, DiskFreeBytes: facts.DiskFree, Service: service, Problems: q.problems(ctx, facts),
	}, nil
}

// problems lists what would be in the way of installing a hive.
func (q *Queen) problems(ctx context.Context, f install.Facts) []string {
	size := int64(0)
	list := []string(nil)
	binary, err := q.sources("").Choose(ctx, f.Platform)
	if err == nil {
		size = binary.Size
	} else if known := f.Problems(0); len(known) == 0 || f.Platform.Known() {
		list = append(list, err.Error())
	}
	list = append(f.Problems(size), list...)
	if f.Claim != nil && f.Claim.Queen != q.identity {
		list = append(list, fmt.Sprintf("it has a hive already, %s, of the queen of %s", f.Claim.Hive, f.Claim.Of))
	}
	return list
}

// sources is where binaries come from.
func (q *Queen) sources(given string) install.Sources {
	return install.Sources{
		Own: q.Binary, Given: given, Releases: q.Releases, Version: daemon.Version, Cache: q.Home.Binaries(),
	}
}

// wrongClock tells a person when the machine's clock is off, which harms
// nothing.
func wrongClock(ctx context.Context, f install.Facts) {
	if off := time.Until(f.Clock).Round(time.Second); off.Abs() > 5*time.Minute {
		ops.Warn(ctx, "clock_wrong", "the clock of %s is off by %s; rbee does not mind, but its logs there will", f.Host, off)
	}
}

// account is the machine as it was reached.
func account(c *ssh.Conn) string { return c.Hop().String() }
