package ssh

import (
	"cmp"
	"os"
	"os/user"
	"path/filepath"
	"time"
)

// Options say how to reach a machine. The zero value does what ssh(1) would
// with the same account's files, and asks nobody.
type Options struct {
	// Home stands for "~"; empty is the account's own.
	Home string
	// ConfigFile is the person's configuration; empty is ~/.ssh/config. A
	// missing file is an empty one.
	ConfigFile string
	// SystemConfigFile is the machine's; empty is /etc/ssh/ssh_config.
	SystemConfigFile string
	// KnownHosts are the files of host keys, in place of those configured (else
	// ~/.ssh/known_hosts). New keys go into the first.
	KnownHosts []string
	// SystemKnownHosts are read but never written, in place of those
	// configured (else /etc/ssh/ssh_known_hosts).
	SystemKnownHosts []string
	// Agent is the socket of the SSH agent; empty is as configured, else
	// $SSH_AUTH_SOCK; "none" uses no agent.
	Agent string

	// Keys are offered before the account's, IdentitiesOnly or not.
	Keys []*Key
	// Secrets unlock keys and answer for passwords.
	Secrets Secrets

	// AcceptNewHostKey notes the key of a host never seen and goes on. A key
	// that differs from a known one is refused all the same.
	AcceptNewHostKey bool
	// AcceptFingerprint does so for the one key that has this fingerprint, as
	// [UnknownHostKey] shows it ("SHA256:…").
	AcceptFingerprint string

	// Timeout bounds a Dial within its context; 0 is 20 s.
	Timeout time.Duration
	// KeepaliveInterval is the time between questions whether the other side
	// is there; 0 is 5 s.
	KeepaliveInterval time.Duration
	// KeepaliveTimeout is how long one may stay unanswered, with nothing else
	// heard either, before the connection is closed; 0 is 10 s.
	KeepaliveTimeout time.Duration

	// Pipe is the command on the other machine that runs [ServePipe] over its
	// standard input and output. Without one, a server that refuses to forward
	// sockets is an error.
	Pipe Command
}

// The times that stand for 0.
const (
	defaultTimeout           = 20 * time.Second
	defaultKeepaliveInterval = 5 * time.Second
	defaultKeepaliveTimeout  = 10 * time.Second
)

// withDefaults fills in what does not depend on the configuration files.
func (o Options) withDefaults() Options {
	if o.Home == "" {
		o.Home, _ = os.UserHomeDir() // without a home there are no files of the account's
	}
	o.ConfigFile = cmp.Or(o.ConfigFile, filepath.Join(o.Home, ".ssh", "config"))
	o.SystemConfigFile = cmp.Or(o.SystemConfigFile, "/etc/ssh/ssh_config")
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	o.KeepaliveInterval = cmp.Or(o.KeepaliveInterval, defaultKeepaliveInterval)
	o.KeepaliveTimeout = cmp.Or(o.KeepaliveTimeout, defaultKeepaliveTimeout)
	return o
}

// localUser is the account that an SSH command without one logs in to.
func localUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return os.Getenv("USER")
}
