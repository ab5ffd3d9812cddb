package hive

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"rbee.dev/rbee/inference/slice"
	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/hive/cores"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
)

// ServeCmd is `rbee hive serve`.
type ServeCmd struct {
	Name   string `help:"The hive's name." default:"localhost"`
	Listen string `help:"TCP address to listen on beside the socket; it wants the token in the state folder's hive.token." placeholder:"HOST:PORT"`

	IdleTimeout time.Duration `help:"Unload workers that have had nothing to do for so long; 0 is never. Pinned models stay; the next request brings a worker back as it was." default:"30m" env:"RBEE_IDLE_TIMEOUT" placeholder:"DURATION"`

	// Memory is the hive's, see [Options].
	Memory func(context.Context) (total, free uint64) `kong:"-"`

	Service bool `hidden:"" help:"It is a service of this machine, which runs without a queen."`
}

// Help is shown by --help.
func (ServeCmd) Help() string {
	return `Runs the hive of this machine in the foreground, until Ctrl-C, which ends its
workers too. The queen starts the hive of its own machine by itself.

Examples:
  rbee hive serve
  rbee hive serve --idle-timeout 5m`
}

// Run serves until the context ends or somebody asks for the end.
func (c *ServeCmd) Run(ctx context.Context, h home.Home, stderr io.Writer) error {
	if err := c.check(); err != nil {
		return err
	}
	if err := h.Create(); err != nil {
		return daemon.NotUp(err)
	}
	daemon.CollectSeldom()
	detached := os.Getenv(daemon.DetachedEnv) != ""
	log, file, err := daemon.Logger("hive", h.Log("hive"), stderr, detached)
	if err != nil {
		return daemon.NotUp(err)
	}
	defer file.Close()
	if err := slice.Short(); err != nil {
		log.Debug().Err(err).Msg("the hive's threads wait for their turn as any")
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the own binary: %w", err)
	}
	hive, err := New(Options{
		Home: h, Name: c.Name, Listen: c.Listen, Service: c.Service, IdleTimeout: c.IdleTimeout, Memory: c.Memory, Binary: exe, Cores: cores.Find(), Log: log,
	})
	if err = daemon.NotUp(err); err != nil {
		if detached { // nobody sees what is returned
			log.Error().Err(err).Str("hint", ops.AsError(err).Hint).Msg("the hive cannot start")
		}
		return err
	}
	return hive.Run(ctx)
}

// check refuses what no hive can be served with.
func (c *ServeCmd) check() error {
	if err := (ops.HiveGet{HiveID: c.Name}).Validate(); err != nil {
		return ops.Invalid("name", "%s", ops.AsError(err).Message)
	}
	if c.Listen != "" {
		_, port, err := net.SplitHostPort(c.Listen)
		if err == nil {
			_, err = net.LookupPort("tcp", port) //nolint:noctx // it asks a file at most
		}
		if err != nil {
			return ops.Invalid("listen", "must be HOST:PORT with a port up to 65535, got %q", c.Listen).WithHint("as in --listen 127.0.0.1:7834")
		}
	}
	if c.IdleTimeout < 0 {
		return ops.Invalid("idle-timeout", "must not be below 0, got %s", c.IdleTimeout)
	}
	return daemon.CheckSilenceEnv()
}
