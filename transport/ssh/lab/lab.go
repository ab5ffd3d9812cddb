package lab

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/knownhosts"
)

// prefix begins the name of every namespace and link that a lab makes.
const prefix = "rbl"

// Lab is a network with the queen's machine and others.
type Lab struct {
	t    testing.TB
	id   string // of this lab, in the names of what it makes
	dir  string
	root string // what machines are copies of

	// Home is the home folder of the person at the queen's machine: with a key
	// that the machines know, their host keys, and a configuration that names
	// them.
	Home     string
	machines []*Machine
}

// Start makes the machines and waits until their SSH servers answer.
func Start(t testing.TB, machines ...Machine) *Lab {
	t.Helper()
	root := os.Getenv("RBEE_LAB_ROOT")
	if why := missing(root); why != "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI needs the SSH lab: %s", why)
		}
		t.Skipf("no SSH lab: %s", why)
	}
	sweep(t)
	// Tests of one process may have labs at the same time.
	id := fmt.Sprintf("%s%d-%s", prefix, os.Getpid(), strings.ToLower(rand.Text()[:8]))
	l := &Lab{t: t, id: id, root: root, dir: t.TempDir()}
	l.Home = filepath.Join(l.dir, "home")
	t.Cleanup(l.close)
	l.network()
	for i := range machines {
		m := machines[i]
		m.lab, m.number = l, i+2
		l.machines = append(l.machines, &m)
		m.start()
	}
	l.person()
	for _, m := range l.machines {
		m.await()
	}
	return l
}

// missing says what keeps a lab from being made here, or "".
func missing(root string) string {
	switch {
	case os.Getuid() != 0:
		return "namespaces need root"
	case root == "":
		return "set RBEE_LAB_ROOT to a folder that testdata/lab/root.sh made"
	}
	if _, err := os.Stat(filepath.Join(root, ".complete")); err != nil {
		return fmt.Sprintf("%s is not whole: testdata/lab/root.sh makes it", root)
	}
	for _, tool := range []string{"ip", "nft", "unshare", "nsenter", "ssh", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			return tool + " is not installed"
		}
	}
	return ""
}

// queen is the network namespace of the queen's machine, which holds the bridge.
func (l *Lab) queen() string { return l.id + "q" }

// Machine returns the machine called name.
func (l *Lab) Machine(name string) *Machine {
	l.t.Helper()
	for _, m := range l.machines {
		if m.Name == name {
			return m
		}
	}
	l.t.Fatalf("there is no machine %s in the lab", name)
	return nil
}

// Command is a command on the queen's machine, by the person there. It sees the
// files of the machine that the test runs on.
func (l *Lab) Command(name string, args ...string) *exec.Cmd {
	words := append([]string{"netns", "exec", l.queen(), name}, args...)
	if name == "ssh" { // which takes the home from the account, not from $HOME
		words = append([]string{"netns", "exec", l.queen(), "ssh", "-F", filepath.Join(l.Home, ".ssh", "config")}, args...)
	}
	cmd := exec.Command("ip", words...)
	cmd.Env = append(os.Environ(), "HOME="+l.Home, "SSH_AUTH_SOCK=")
	return cmd
}

// run runs a tool of the outer machine, which must succeed.
func (l *Lab) run(name string, args ...string) {
	l.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// ip runs ip(8) in a network namespace.
func (l *Lab) ip(namespace string, args ...string) {
	l.t.Helper()
	l.run("ip", append([]string{"-n", namespace}, args...)...)
}

// network makes the queen's namespace with the bridge, 10.77.0.1.
func (l *Lab) network() {
	l.t.Helper()
	l.run("ip", "netns", "add", l.queen())
	l.ip(l.queen(), "link", "set", "lo", "up")
	l.ip(l.queen(), "link", "add", "bridge0", "type", "bridge")
	l.ip(l.queen(), "addr", "add", "10.77.0.1/24", "dev", "bridge0")
	l.ip(l.queen(), "link", "set", "bridge0", "up")
}

// person makes the files of who sits at the queen's machine.
func (l *Lab) person() {
	l.t.Helper()
	folder := filepath.Join(l.Home, ".ssh")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		l.t.Fatal(err)
	}
	key := filepath.Join(folder, "id_ed25519")
	l.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		l.t.Fatal(err)
	}
	var config, known bytes.Buffer
	for _, m := range l.machines {
		m.authorize(public)
		host, port := m.reached()
		fmt.Fprintf(&config, "Host %s\n  HostName %s\n  Port %s\n  User alice\n  IdentityFile %s\n  UserKnownHostsFile %s/known_hosts\n", m.Name, host, port, key, folder)
		if m.Through != "" {
			fmt.Fprintf(&config, "  ProxyJump %s\n", m.Through)
		}
		fmt.Fprintf(&known, "%s %s", knownhosts.Normalize(net.JoinHostPort(host, port)), m.hostKey())
	}
	for name, text := range map[string][]byte{"config": config.Bytes(), "known_hosts": known.Bytes()} {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
}

// close takes everything down.
func (l *Lab) close() {
	for _, m := range l.machines {
		if l.t.Failed() {
			l.t.Logf("%s said: %s", m.Name, m.lastWords())
		}
		m.stop()
	}
	for _, m := range l.machines {
		l.try("ip", "netns", "del", m.namespace())
	}
	l.try("ip", "netns", "del", l.queen())
}

func (l *Lab) try(name string, args ...string) {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		l.t.Errorf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// sweep removes what tests that were killed have left: the namespaces of
// processes that are no more. Their machines died with them, and the overlays
// with the machines.
func sweep(t testing.TB) {
	t.Helper()
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		var pid int
		if _, err := fmt.Sscanf(name, prefix+"%d", &pid); err != nil {
			continue
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil {
			_ = exec.Command("ip", "netns", "del", name).Run() // another test may have been faster
			ungroup(name)
		}
	}
}

// patience bounds every wait in the lab.
const patience = 20 * time.Second
