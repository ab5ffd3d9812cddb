package queen

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/inference/slice"
	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
)

// DefaultListen is where a queen listens unless told otherwise.
const DefaultListen = "127.0.0.1:7833"

// ServeCmd is `rbee queen serve`. Its flags can be variables, so that a queen
// which another command starts has them too.
type ServeCmd struct {
	Listen       string   `help:"Address to listen on; port 0 takes any free one." default:"127.0.0.1:7833" env:"RBEE_LISTEN" placeholder:"HOST:PORT"`
	TLS          string   `help:"self: encrypt by a certificate that the queen makes once." env:"RBEE_TLS" placeholder:"self"`
	TLSCert      string   `help:"Encrypt by the certificate in this file (PEM, with the chain)." env:"RBEE_TLS_CERT" placeholder:"FILE" type:"path"`
	TLSKey       string   `help:"File of its key (PEM)." env:"RBEE_TLS_KEY" placeholder:"FILE" type:"path"`
	InsecureHTTP bool     `name:"insecure-http" help:"Let keys cross the network in the clear: something else encrypts." env:"RBEE_INSECURE_HTTP"`
	HostName     []string `help:"Name that it is reached by, as through a proxy; once for each." env:"RBEE_HOST_NAMES" placeholder:"NAME"`
	CORSOrigin   []string `name:"cors-origin" help:"Origin whose web pages may use it, as https://app.example; once for each." env:"RBEE_CORS_ORIGINS" placeholder:"ORIGIN"`
	Releases     string   `help:"URL of a folder with release archives, for machines of another kind than this one." env:"RBEE_RELEASES" placeholder:"URL"`

	IdleTimeout string `help:"Have the hive of this machine unload workers that have had nothing to do for so long; 0s is never (default: ${default}). Pinned models stay; the next request brings a worker back as it was." default:"30m" env:"RBEE_IDLE_TIMEOUT" placeholder:"DURATION"`

	AutoDownload bool `help:"Let requests bring models: those named as hf:OWNER/REPO[:QUANT|:FILE] that no hive has are downloaded." env:"RBEE_AUTO_DOWNLOAD"`

	Policy     string `help:"How workers are chosen: balanced, the least busy first, or packed, the busiest first, so that others fall idle (default: ${default})." default:"balanced" env:"RBEE_POLICY" placeholder:"NAME"`
	QueueDepth int    `help:"Requests that may wait for one model; beyond them one is refused (default: ${default})." default:"4096" env:"RBEE_QUEUE_DEPTH" placeholder:"N"`

	Check bool `hidden:"" help:"Say only whether a queen could start with these flags."`
}

// Help is shown by --help.
func (ServeCmd) Help() string {
	return `Runs the queen in the foreground until Ctrl-C, which takes down its hive and
workers too. Most people never need it: a command that finds no queen starts one.

Other machines reach it on another address than loopback, once there is an API key;
keepers there pin the fingerprint of a certificate that it makes itself.

Examples:
  rbee queen serve --listen 127.0.0.1:7833
  rbee queen serve --auto-download
  rbee queen serve --policy packed --queue-depth 64
  rbee queen serve --idle-timeout 5m
  rbee queen serve --listen 0.0.0.0:7833 --tls self
  rbee queen serve --host-name llm.example.org          (behind a proxy on this machine)`
}

func (c *ServeCmd) options(h home.Home, binary string, log zerolog.Logger) Options {
	return Options{
		Home: h, Listen: c.Listen, Binary: binary, Releases: c.Releases, Log: log, TLS: c.TLS, TLSCert: c.TLSCert, TLSKey: c.TLSKey,
		InsecureHTTP: c.InsecureHTTP, Hosts: c.HostName, Origins: c.CORSOrigin, AutoDownload: c.AutoDownload,
		Policy: c.Policy, QueueDepth: c.QueueDepth, IdleTimeout: c.IdleTimeout,
	}
}

// args are the flags that options came from, for a queen that takes this one's
// place: all but where it listens, which may have been any free port.
func (o Options) args() []string {
	var list []string
	add := func(name string, values ...string) {
		for _, v := range values {
			if v != "" {
				list = append(list, "--"+name+"="+v)
			}
		}
	}
	add("tls", o.TLS)
	add("tls-cert", o.TLSCert)
	add("tls-key", o.TLSKey)
	add("host-name", o.Hosts...)
	add("cors-origin", o.Origins...)
	add("releases", o.Releases)
	add("policy", o.Policy)
	add("idle-timeout", o.IdleTimeout)
	if o.QueueDepth > 0 {
		add("queue-depth", strconv.Itoa(o.QueueDepth))
	}
	if o.AutoDownload {
		list = append(list, "--auto-download")
	}
	if o.InsecureHTTP {
		list = append(list, "--insecure-http")
	}
	return list
}

// Run serves until the context ends or somebody asks for the end.
func (c *ServeCmd) Run(ctx context.Context, h home.Home, stderr io.Writer) (err error) {
	if c.QueueDepth < 1 {
		return ops.Invalid("queue-depth", "must be at least 1, got %d", c.QueueDepth)
	}
	if d, err := time.ParseDuration(c.IdleTimeout); err != nil || d < 0 {
		return ops.Invalid("idle-timeout", "must be a number and a unit as in 90s, 30m or 12h, or 0s for never, got %q", c.IdleTimeout)
	}
	if err := daemon.CheckSilenceEnv(); err != nil {
		return err
	}
	o := c.options(h, "", zerolog.Nop())
	if c.Check {
		return check(o)
	}
	if err := (&Queen{Options: o}).checkSettings(); err != nil { // now, while it is told which variable has it
		return err
	}
	if err := h.Create(); err != nil {
		return daemon.NotUp(err)
	}
	daemon.CollectSeldom()
	detached := os.Getenv(daemon.DetachedEnv) != ""
	log, logFile, err := daemon.Logger("queen", h.Log("queen"), stderr, detached)
	if err != nil {
		return daemon.NotUp(err)
	}
	defer logFile.Close()
	if err := slice.Short(); err != nil {
		log.Debug().Err(err).Msg("the queen's threads wait for their turn as any")
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the own binary: %w", err)
	}
	q, err := New(c.options(h, exe, log))
	if err != nil {
		err = daemon.NotUp(err)
		if detached { // nobody sees what is returned
			e := *ops.AsError(err)
			if e.Field != "" { // as it is set
				e.Field = "--" + strings.ReplaceAll(e.Field, "_", "-")
			}
			log.Error().Str("error", e.Error()).Str("code", string(e.Code)).Str("hint", e.Hint).Msg("the queen cannot start")
		}
		return err
	}
	return q.Run(ctx)
}
