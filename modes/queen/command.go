package queen

import (
	"context"
	"fmt"
	"io"
	"os"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
)

// DefaultListen is where a queen listens unless told otherwise.
const DefaultListen = "127.0.0.1:7833"

// ServeCmd is `rbee queen serve`.
type ServeCmd struct {
	Listen   string `help:"Address to listen on, loopback only; port 0 takes any free one." default:"127.0.0.1:7833" env:"RBEE_LISTEN" placeholder:"HOST:PORT"`
	Releases string `help:"URL of a folder with release archives, for machines of another kind than this one." env:"RBEE_RELEASES" placeholder:"URL"`

	AutoDownload bool `help:"Let requests bring models: those named as hf:OWNER/REPO[:QUANT|:FILE] that no hive has are downloaded." env:"RBEE_AUTO_DOWNLOAD"`
}

// Help is shown by --help.
func (ServeCmd) Help() string {
	return `Runs the queen in the foreground until Ctrl-C, which takes down its hive and
workers too. Most people never need it: a command that finds no queen starts one.

Examples:
  rbee queen serve --listen 127.0.0.1:7833
  rbee queen serve --auto-download`
}

// Run serves until the context ends or somebody asks for the end.
func (c *ServeCmd) Run(ctx context.Context, h home.Home, stderr io.Writer) (err error) {
	if err := h.Create(); err != nil {
		return err
	}
	detached := os.Getenv(daemon.DetachedEnv) != ""
	log, logFile, err := daemon.Logger("queen", h.Log("queen"), stderr, detached)
	if err != nil {
		return err
	}
	defer logFile.Close()
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the own binary: %w", err)
	}
	q, err := New(Options{Home: h, Listen: c.Listen, Binary: exe, Releases: c.Releases, AutoDownload: c.AutoDownload, Log: log})
	if err != nil {
		if detached { // nobody sees what is returned
			log.Error().Err(err).Msg("the queen cannot start")
		}
		return err
	}
	return q.Run(ctx)
}
