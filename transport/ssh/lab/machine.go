package lab

import (
	"bytes"
	"cmp"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Machine is one machine: as it is to be, and then as it is.
type Machine struct {
	Name string
	// Shell is alice's login shell; "" is /bin/bash.
	Shell string
	// Home is alice's home folder; "" is /home/alice.
	Home string
	// SSHD is more lines of sshd_config, as "AllowStreamLocalForwarding no".
	SSHD string
	// NoSFTP leaves the SFTP subsystem out.
	NoSFTP bool
	// Setup is a script that runs as root on the machine before its SSH server
	// starts.
	Setup string
	// Delay is how long every byte is under way, in each direction.
	Delay time.Duration
	// Systemd makes systemd the machine's first process, which starts the SSH
	// server and, at alice's login, her own service manager.
	Systemd bool
	// Root is the folder that the machine is a copy of, with an SSH server and an
	// account alice in it; "" is the lab's own.
	Root string
	// Through names the machine by which this one is reached: the queen's own
	// network has no way to it.
	Through string

	lab    *Lab
	number int // last part of the address
	init   *exec.Cmd
	pid    int // of the machine's first process, seen from outside
}

// Addr is the machine's address.
func (m *Machine) Addr() string {
	if m.Through != "" {
		return fmt.Sprintf("10.78.0.%d", m.number)
	}
	return fmt.Sprintf("10.77.0.%d", m.number)
}

// Alice is the home folder of the account alice.
func (m *Machine) Alice() string {
	if m.Home != "" {
		return m.Home
	}
	return "/home/alice"
}

func (m *Machine) namespace() string { return fmt.Sprintf("%sm%d", m.lab.id, m.number) }

// link is the machine's end of the cable on the bridge.
func (m *Machine) link() string { return fmt.Sprintf("m%d", m.number) }

// boot is what the machine's first process does: it is alone in its namespaces,
// makes the root folder, and becomes the SSH server. A systemd takes the whole tree
// of control groups that it sees for its own: it gets one to itself.
const boot = `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
if [ -z "$5" ]; then
	mount --rbind /dev dev
else
	mount -t tmpfs -o mode=755 tmpfs dev # systemd makes links in it
	for d in null zero full random urandom tty; do touch dev/$d; mount --bind /dev/$d dev/$d; done
	mkdir dev/pts dev/shm
	mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
	ln -s pts/ptmx dev/ptmx
	ln -s /proc/self/fd dev/fd
	mount -t sysfs sysfs sys
	mount -t tmpfs -o mode=755 tmpfs run
	mkdir "$1/groups"
	mount -t cgroup2 cgroup2 "$1/groups"
	mkdir "$1/groups/$6"
	echo 0 >"$1/groups/$6/cgroup.procs"
	: >etc/machine-id
	export container=lab
fi
hostname "$3"
cp "$1/../$3.sshd_config" etc/ssh/sshd_config
mkdir -p run/sshd
last='hash -r; sh -ec "$1"; touch /run/lab-ready; exec $2'
if [ -n "$5" ]; then
	exec unshare --cgroup /bin/sh -ec 'mount -t cgroup2 cgroup2 sys/fs/cgroup; exec chroot . "$@"' sh /bin/sh -c "$last" sh "$4" "$5"
fi
exec chroot . /bin/sh -c "$last" sh "$4" "/usr/sbin/sshd -D -e"
`

// start starts the machine.
func (m *Machine) start() {
	l := m.lab
	l.t.Helper()
	l.run("ip", "netns", "add", m.namespace())
	l.ip(m.namespace(), "link", "set", "lo", "up")
	m.plug()
	pam, first := "no", ""
	if m.Systemd {
		pam, first = "yes", "/lib/systemd/systemd --log-target=console" // a login through PAM starts alice's manager
	}
	// The first value of a keyword counts (sshd_config(5)).
	config := m.SSHD + "\nPermitRootLogin no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM " + pam + "\nStrictModes no\nUseDNS no\n"
	if !m.NoSFTP {
		config += "Subsystem sftp /usr/lib/openssh/sftp-server\n"
	}
	if err := os.WriteFile(filepath.Join(l.dir, m.Name+".sshd_config"), []byte(config), 0o600); err != nil {
		l.t.Fatal(err)
	}
	folder := filepath.Join(l.dir, m.Name)
	if err := os.Mkdir(folder, 0o700); err != nil {
		l.t.Fatal(err)
	}
	setup := "rm -f /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key\n"
	if m.Shell != "" {
		setup += "usermod -s '" + m.Shell + "' alice\n"
	}
	if m.Home != "" {
		setup += "usermod -m -d '" + m.Home + "' alice\n"
	}
	m.init = exec.Command("ip", "netns", "exec", m.namespace(), "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
		"/bin/sh", "-c", boot, "boot", folder, cmp.Or(m.Root, l.root), m.Name, setup+m.Setup, first, m.namespace())
	log, err := os.Create(m.logPath())
	if err != nil {
		l.t.Fatal(err)
	}
	defer log.Close()
	m.init.Stdout, m.init.Stderr = log, log
	m.init.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := m.init.Start(); err != nil {
		l.t.Fatal(err)
	}
}

func (m *Machine) logPath() string { return filepath.Join(m.lab.dir, m.Name+".log") }

// log is what the machine's first process has said, which is its SSH server.
func (m *Machine) log() string {
	text, err := os.ReadFile(m.logPath())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// lastWords is the end of what the machine has said, to tell why a test failed.
func (m *Machine) lastWords() string {
	text := m.log()
	if m.Systemd && m.init != nil && m.init.Process != nil {
		journal, err := m.inside("systemctl --failed --no-pager; journalctl --no-pager -n 60").CombinedOutput()
		text = fmt.Sprintf("%s (%v)", journal, err)
	}
	return text[max(0, len(text)-6000):]
}

// plug connects the machine with the bridge, or with the one it is reached by.
func (m *Machine) plug() {
	l, here := m.lab, m.namespace()
	l.t.Helper()
	there := l.queen()
	if m.Through != "" {
		there = l.Machine(m.Through).namespace()
	}
	l.ip(there, "link", "add", m.link(), "type", "veth", "peer", "name", "eth0", "netns", here)
	if m.Through == "" {
		l.ip(there, "link", "set", m.link(), "master", "bridge0")
	} else {
		l.ip(there, "addr", "add", "10.78.0.1/24", "dev", m.link())
	}
	l.ip(there, "link", "set", m.link(), "up")
	l.ip(here, "addr", "add", m.Addr()+"/24", "dev", "eth0")
	l.ip(here, "link", "set", "eth0", "up")
}

// await waits until the SSH server answers.
func (m *Machine) await() {
	m.lab.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if m.Through == "" {
			out, err := m.lab.Command("bash", "-c", "exec 3<>/dev/tcp/"+m.Addr()+"/22; head -c 4 <&3").Output()
			if err == nil && string(out) == "SSH-" && m.booted() {
				return
			}
		} else if strings.Contains(m.log(), "Server listening") {
			return
		}
		if time.Now().After(end) {
			m.lab.t.Fatalf("%s does not come up: %s", m.Name, m.log())
		}
	}
}

// booted reports whether systemd, where that is the machine's init, has started
// all that it starts: until then it may start the SSH server anew.
func (m *Machine) booted() bool {
	return !m.Systemd || m.inside(`case $(systemctl is-system-running) in running|degraded) ;; *) exit 1 ;; esac`).Run() == nil
}

// first is the machine's first process, as it is called outside.
func (m *Machine) first() int {
	m.lab.t.Helper()
	for end := time.Now().Add(patience); m.pid == 0; time.Sleep(5 * time.Millisecond) {
		// ip becomes unshare, whose one child is the machine's first process.
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", m.init.Process.Pid))
		if fields := strings.Fields(string(text)); err == nil && len(fields) > 0 {
			if m.pid, err = strconv.Atoi(fields[0]); err != nil {
				m.lab.t.Fatal(err)
			}
		}
		if time.Now().After(end) {
			m.lab.t.Fatalf("%s has no process: %s", m.Name, m.log())
		}
	}
	return m.pid
}

// inside is a command on the machine, without SSH.
func (m *Machine) inside(script string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{
		"-t", strconv.Itoa(m.first()), "--mount", "--pid", "--uts", "--ipc", "--net", "--root", "--wd",
		"/bin/sh", "-c", script, "sh",
	}, args...)...)
}

// Run runs a script as root on the machine, without SSH, and returns what it
// printed. It must succeed.
func (m *Machine) Run(script string, args ...string) string {
	m.lab.t.Helper()
	out, err := m.inside(script, args...).CombinedOutput()
	if err != nil {
		m.lab.t.Fatalf("on %s: %v: %s", m.Name, err, out)
	}
	return string(out)
}

// Write writes a file on the machine, as root.
func (m *Machine) Write(path string, text []byte) error {
	cmd := m.inside(`cat >"$1"`, path)
	cmd.Stdin = bytes.NewReader(text)
	return cmd.Run()
}

// authorize lets a key into the account alice.
func (m *Machine) authorize(public []byte) {
	m.lab.t.Helper()
	m.wait("test -e /run/lab-ready")
	m.Run(`umask 077; mkdir -p "$2/.ssh"; printf %s "$1" >"$2/.ssh/authorized_keys"; chown -R alice: "$2/.ssh"`, string(public), m.Alice())
}

// wait waits until a script succeeds on the machine.
func (m *Machine) wait(script string) {
	m.lab.t.Helper()
	for end := time.Now().Add(patience); m.inside(script).Run() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			m.lab.t.Fatalf("on %s it never holds that %s: %s", m.Name, script, m.log())
		}
	}
}

func (m *Machine) hostKey() string { return m.Run("cat /etc/ssh/ssh_host_ed25519_key.pub") }

// stop ends the machine with all its processes.
func (m *Machine) stop() {
	if m.init == nil || m.init.Process == nil {
		return
	}
	_ = syscall.Kill(-m.init.Process.Pid, syscall.SIGKILL) // the first process's end is the others'
	_ = m.init.Wait()
	if m.Systemd {
		ungroup(m.namespace())
	}
}

// ungroup removes the tree of control groups that a machine had, once the last of
// its processes is gone. It is best effort: what is left is empty folders.
func ungroup(name string) {
	const script = `mount -t cgroup2 cgroup2 /mnt; for i in $(seq 100); do
	[ -d "/mnt/$1" ] && ! find "/mnt/$1" -depth -type d -exec rmdir {} + 2>/dev/null || exit 0
	sleep 0.05
done`
	_ = exec.Command("unshare", "--mount", "/bin/sh", "-c", script, "sh", name).Run()
}

// NewHostKey gives the SSH server another key, as a machine has that was
// installed anew.
func (m *Machine) NewHostKey() {
	m.lab.t.Helper()
	const up = "Server listening on 0.0.0.0"
	before := strings.Count(m.log(), up)
	m.Run("rm -f /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; kill -HUP 1")
	for end := time.Now().Add(patience); strings.Count(m.log(), up) == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			m.lab.t.Fatalf("the SSH server of %s does not come back: %s", m.Name, m.log())
		}
	}
}

// KillSessions ends the SSH connections from the side of the server.
func (m *Machine) KillSessions() {
	m.lab.t.Helper()
	m.Run("pkill -KILL -f '^sshd: alice' || true")
}

// Cut takes the machine's cable out; Restore puts it back. Nothing tells the
// two sides.
func (m *Machine) Cut() { m.cable("down") }

// Restore puts the cable back.
func (m *Machine) Restore() { m.cable("up") }

func (m *Machine) cable(state string) {
	m.lab.t.Helper()
	there := m.lab.queen()
	if m.Through != "" {
		there = m.lab.Machine(m.Through).namespace()
	}
	m.lab.ip(there, "link", "set", m.link(), state)
}

// Limit bounds what the machine receives, as "1gbit"; "" takes the bound away.
func (m *Machine) Limit(rate string) {
	m.lab.t.Helper()
	if rate == "" {
		m.lab.run("tc", "-n", m.lab.queen(), "qdisc", "del", "dev", m.link(), "root")
		return
	}
	m.lab.run("tc", "-n", m.lab.queen(), "qdisc", "replace", "dev", m.link(), "root", "tbf", "rate", rate, "burst", "256k", "latency", "50ms")
}

// Lose drops every nth packet that the machine receives; 0 none.
func (m *Machine) Lose(n int) {
	m.lab.t.Helper()
	m.lab.run("ip", "netns", "exec", m.namespace(), "nft", "flush", "ruleset")
	if n == 0 {
		return
	}
	rules := fmt.Sprintf("table ip lab { chain in { type filter hook input priority 0; iifname eth0 numgen inc mod %d 0 drop; }; }", n)
	m.lab.run("ip", "netns", "exec", m.namespace(), "nft", rules)
}

// Address is the machine's SSH server as alice@address:port.
func (m *Machine) Address() string { return "alice@" + net.JoinHostPort(m.Addr(), "22") }
