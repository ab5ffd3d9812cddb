package queen

import (
	"cmp"
	"net"
	"strconv"

	"rbee.dev/rbee/modes/queen/install"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
)

// record is what the queen remembers of a hive that it installed: how its
// machine is reached and where its files are there.
type record struct {
	Host string `json:"host,omitempty"` // empty is the queen's own machine
	User string `json:"user,omitempty"`
	Port int    `json:"port,omitempty"`

	Site    install.Site `json:"site"`
	Systemd bool         `json:"systemd"`          // else a detached process
	Listen  string       `json:"listen,omitempty"` // its TCP address, where it has one
	Build   string       `json:"build"`            // of the binary that it runs
	Stopped bool         `json:"stopped"`          // somebody wants it down
	Key     bool         `json:"key"`              // the queen's own key was added to the account
}

// idleTimeout is the variable that a hive takes its idle timeout from.
const idleTimeout = "RBEE_IDLE_TIMEOUT"

// idling is a hive's site with the idle timeout wanted, or else the one that it
// had before.
func idling(site, before install.Site, wanted string) install.Site {
	return site.With(idleTimeout, cmp.Or(wanted, before.Setting(idleTimeout)))
}

// target is how the machine is reached.
func (r record) target() ssh.Target { return ssh.Target{Host: r.Host, User: r.User, Port: r.Port} }

// address is the machine as user@host:port, as far as it is known.
func (r record) address() string {
	text := r.Host
	if r.Port != 0 {
		text = net.JoinHostPort(r.Host, strconv.Itoa(r.Port))
	}
	if r.User != "" {
		text = r.User + "@" + text
	}
	return text
}

// targetOf reads the address that an operation gives. Its host may hold account
// and port too, as in user@host:port.
func targetOf(a ops.SSHAddress) (ssh.Target, error) {
	t, err := ssh.ParseTarget(a.SSHHost)
	if err != nil {
		e := ops.AsError(err)
		e.Field = "ssh_host"
		return t, e
	}
	if a.SSHUser != "" {
		t.User = a.SSHUser
	}
	if a.SSHPort != 0 {
		t.Port = a.SSHPort
	}
	return t, nil
}

// portOf is the port of an address, or 0.
func portOf(address string) int {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	port, _ := strconv.Atoi(text) // none is 0
	return port
}
