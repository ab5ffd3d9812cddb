package modes_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rbee.dev/rbee/inference/enginetest"
	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/pacedtest"
	"rbee.dev/rbee/transport/ssh/lab"
)

// site is the queen's machine of a lab, with a home of rbee's own.
type site struct {
	t    *testing.T
	lab  *lab.Lab
	home string
}

func newSite(t *testing.T, machines ...lab.Machine) *site {
	t.Helper()
	s := &site{t: t, lab: lab.Start(t, machines...), home: t.TempDir()}
	t.Cleanup(func() { s.rbee("queen", "stop") })
	return s
}

func (s *site) command(args ...string) *exec.Cmd {
	cmd := s.lab.Command(binary, args...)
	cmd.Env = append(cmd.Env, "RBEE_HOME="+s.home, "RBEE_LISTEN=127.0.0.1:0", "RBEE_QUEEN=")
	return cmd
}

// rbee runs a command to its end, which must be good.
func (s *site) rbee(args ...string) string {
	s.t.Helper()
	cmd := s.command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		s.t.Errorf("rbee %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}

func (s *site) refused(args ...string) string {
	s.t.Helper()
	out, err := s.command(args...).CombinedOutput()
	if err == nil {
		s.t.Errorf("rbee %s: it should fail: %s", strings.Join(args, " "), out)
	}
	return string(out)
}

// files lists what alice has on a machine, beside what she had.
func (s *site) files(m *lab.Machine) string {
	return m.Run(`cd "$1"; find . -type f ! -path './.ssh/*' ! -name '.*rc' ! -name .profile ! -name .bash_logout ! -path './.cache/rbee/models/*' ! -path './.config/fish/*' ! -path './.local/share/fish/*'`, m.Alice())
}

func TestLabHivesOnMachinesOfAllKinds(t *testing.T) {
	t.Parallel()
	machines := []lab.Machine{
		{Name: "plain"},
		{Name: "early", Setup: tells("date", `exec /bin/date -d "1 year ago" "$@"`)},
		{Name: "fishy", Shell: "/usr/bin/fish"},
		{Name: "cshy", Shell: "/usr/bin/tcsh"},
		{Name: "noisy", Setup: `printf 'echo Welcome; echo beware >&2\n' | tee /home/alice/.bashrc >/home/alice/.profile`},
		{Name: "noforward", SSHD: "AllowStreamLocalForwarding no\nAllowTcpForwarding no"},
		{Name: "nosftp", NoSFTP: true},
		{Name: "noexec", Setup: "mount -t tmpfs -o noexec,mode=1777 tmpfs /tmp"},
		{Name: "space", Home: "/home/al ice"},
		{Name: "inner", Through: "plain"},
		{Name: "systemd", Systemd: true},
		{Name: "nolinger", Systemd: true, Setup: "systemctl mask polkit.service"}, // nobody allows it
	}
	s := newSite(t, machines...)
	want := s.rbee("infer", "-q", "-n", "12", "--seed", "1", "Once upon a time")
	for _, m := range machines {
		t.Run(m.Name, func(t *testing.T) {
			s := &site{t: t, lab: s.lab, home: s.home}
			before := s.files(s.lab.Machine(m.Name))
			if out := s.rbee("hive", "test", "--host", m.Name); !strings.Contains(out, "linux/") || !strings.Contains(out, "nothing: a hive can be installed") {
				t.Errorf("tested: %s", out)
			}
			if said, err := s.command("hive", "test", "--host", m.Name).CombinedOutput(); err != nil || bytes.Contains(said, []byte("clock")) != (m.Name == "early") {
				t.Errorf("of its clock: %v: %s", err, said)
			}
			s.rbee("hive", "install", "--host", m.Name)
			if got := s.rbee("infer", "-q", "--hive", m.Name, "-n", "12", "--seed", "1", "Once upon a time"); got != want {
				t.Errorf("it says %q, this machine %q", got, want)
			}
			s.rbee("hive", "update", m.Name)
			s.rbee("hive", "stop", m.Name)
			s.rbee("hive", "start", m.Name)
			s.rbee("hive", "uninstall", m.Name)
			if left := s.files(s.lab.Machine(m.Name)); left != before {
				t.Errorf("left over there: %s", left)
			}
			const running = `for i in $(seq 50); do left=$(pgrep -u alice -fa rbee) || exit 0; sleep 0.1; done; echo "$left"`
			if left := s.lab.Machine(m.Name).Run(running); left != "" {
				t.Errorf("still running over there: %s", left)
			}
		})
	}
}

// TestLabAHiveIsAUserServiceOfSystemd installs one on a machine whose init is
// systemd.
func TestLabAHiveIsAUserServiceOfSystemd(t *testing.T) {
	s := newSite(t, lab.Machine{Name: "gpu1", Systemd: true})
	m := s.lab.Machine("gpu1")
	alice := func(script string) string {
		t.Helper()
		return strings.TrimSpace(m.Run(`exec setpriv --reuid alice --regid alice --init-groups env HOME=/home/alice XDG_RUNTIME_DIR=/run/user/$(id -u alice) sh -c "$1"`, script))
	}
	const main = "systemctl --user show rbee-hive.service -p MainPID --value"
	workers := func() string {
		t.Helper()
		return alice("pgrep -u alice -f 'rbee.* [w]orker serve' | tr '\n' ' '")
	}
	s.rbee("hive", "install", "--host", "gpu1")
	if state := alice("systemctl --user is-active rbee-hive.service; systemctl --user is-enabled rbee-hive.service; loginctl show-user alice -p Linger --value"); state != "active\nenabled\nyes" {
		t.Errorf("the service is %q, want it active, enabled and lingering", state)
	}
	s.rbee("infer", "-q", "--hive", "gpu1", "-n", "3", "Once upon a time")
	hive, kept := alice(main), workers()
	if kept == "" {
		t.Error("there is no worker")
	}

	s.rbee("queen", "stop") // with which alice's last session ends
	m.KillSessions()
	if now := alice(main); now != hive {
		t.Errorf("without a session the hive is %s, it was %s", now, hive)
	}
	alice("kill -KILL " + hive)
	s.rbee("infer", "-q", "--hive", "gpu1", "-n", "3", "Once upon a time")
	if now := alice(main); now == hive || now == "0" {
		t.Errorf("the hive that was killed is %s, and is %s now", hive, now)
	}
	s.rbee("hive", "update", "gpu1", "--binary", otherBuild(t))
	s.rbee("infer", "-q", "--hive", "gpu1", "-n", "3", "Once upon a time")
	if now := workers(); now != kept {
		t.Errorf("the workers are %q, they were %q", now, kept)
	}
	s.rbee("hive", "stop", "gpu1")
	if left := workers(); left != "" || alice("systemctl --user is-active rbee-hive.service || true") != "inactive" {
		t.Errorf("stopped, and there are workers %q", left)
	}
	s.rbee("hive", "start", "gpu1")
	s.rbee("hive", "uninstall", "gpu1")
	if unit := alice("systemctl --user list-unit-files rbee-hive.service --no-legend; ls ~/.config/systemd/user 2>/dev/null || true"); strings.Contains(unit, "rbee") {
		t.Errorf("left of the unit: %s", unit)
	}
}

// TestLabAnswersGoOnThroughCuts has 32 people read answers from a machine whose
// connection is cut in the middle: each gets every token once.
func TestLabAnswersGoOnThroughCuts(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable() // with an engine of an even pace
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, lab.Machine{Name: "gpu1", SSHD: "SetEnv " + pacedtest.Pace + "=20ms"})
	m := s.lab.Machine("gpu1")
	s.rbee("hive", "install", "--host", "gpu1", "--binary", exe)
	s.rbee("worker", "spawn", "tinybee", "--hive", "gpu1", "--parallel", "32")
	record, err := daemon.Read(filepath.Join(s.home, "state", "queen.pid"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.lab.Command("curl", "-sS", "-D", "-", "http://"+record.Address+"/v1/completions",
		"-H", "Content-Type: application/json", "-d", `{"model":"tinybee","prompt":"x","max_tokens":5}`).CombinedOutput()
	if err != nil || !strings.Contains(string(answer), "X-Rbee-Hive: gpu1") || !strings.Contains(string(answer), enginetest.Text(5)) {
		t.Errorf("OpenAI's API over the connection: %v: %s", err, answer)
	}
	const streams, tokens = 32, 300
	want := enginetest.Text(tokens) + "\n"
	for _, tt := range []struct {
		name string
		cut  func()
	}{
		{"the link is cut for 5 s", func() { m.Cut(); time.Sleep(5 * time.Second); m.Restore() }},
		{"the link is cut for 40 s", func() { m.Cut(); time.Sleep(40 * time.Second); m.Restore() }},
		{"the sessions are killed", m.KillSessions},
		{"packets are lost", func() { m.Lose(10); t.Cleanup(func() { m.Lose(0) }) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var all sync.WaitGroup
			said, told := make([]bytes.Buffer, streams), make([]bytes.Buffer, streams)
			errs := make([]error, streams)
			for i := range streams {
				all.Go(func() {
					cmd := s.command("infer", "-q", "--hive", "gpu1", "-n", strconv.Itoa(tokens), "Once upon a time")
					cmd.Stdout, cmd.Stderr = &said[i], &told[i]
					errs[i] = cmd.Run()
				})
			}
			time.Sleep(3 * time.Second) // in the middle
			tt.cut()
			all.Wait()
			for i := range streams {
				if errs[i] != nil || said[i].String() != want {
					t.Errorf("stream %d: %v, %d bytes of %d: %s", i, errs[i], said[i].Len(), len(want), told[i].String())
				}
			}
		})
	}
	s.rbee("hive", "uninstall", "gpu1")
}

// TestLabAPersonIsAskedForWhatALoginNeeds logs in to real servers with what only
// a person knows.
func TestLabAPersonIsAskedForWhatALoginNeeds(t *testing.T) {
	t.Parallel()
	s := newSite(t,
		lab.Machine{Name: "locked"},
		lab.Machine{Name: "password", SSHD: "PasswordAuthentication yes\nPubkeyAuthentication no", Setup: "echo alice:" + thePassword + " | chpasswd"},
		lab.Machine{Name: "unknown"},
	)
	key := filepath.Join(s.lab.Home, ".ssh", "id_ed25519")
	if out, err := exec.Command("ssh-keygen", "-p", "-q", "-f", key, "-N", thePassphrase).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	known := filepath.Join(s.lab.Home, ".ssh", "known_hosts")
	text, err := os.ReadFile(known)
	if err != nil {
		t.Fatal(err)
	}
	strangers := strings.Join(slices.DeleteFunc(strings.SplitAfter(string(text), "\n"), func(line string) bool {
		return strings.HasPrefix(line, s.lab.Machine("unknown").Addr()+" ")
	}), "")
	if err := os.WriteFile(known, []byte(strangers), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := s.refused("hive", "test", "--host", "locked"); !strings.Contains(said, "passphrase") || !strings.Contains(said, "ssh-add") {
		t.Errorf("without a terminal: %s", said)
	}
	if said := s.refused("hive", "test", "--host", "unknown"); !strings.Contains(said, "SHA256:") || !strings.Contains(said, "--accept-new-host-key") {
		t.Errorf("an unknown host key: %s", said)
	}
	for _, tt := range []struct {
		machine   string
		flags     []string
		questions [][2]string
	}{
		{"locked", nil, [][2]string{{"Passphrase for ", thePassphrase}, {"Add the queen's own key", "y"}}},
		{"password", []string{"--ask-password"}, [][2]string{{"Password for ", thePassword}, {"Add the queen's own key", "n"}}},
		{"unknown", nil, [][2]string{{"Trust this key", "y"}, {"Passphrase for ", thePassphrase}, {"Add the queen's own key", "n"}}},
	} {
		t.Run(tt.machine, func(t *testing.T) {
			cmd := s.command(append([]string{"hive", "install", "--host", tt.machine}, tt.flags...)...)
			p := sit(t, cmd)
			for _, q := range tt.questions {
				p.answer(q[0], q[1])
			}
			if text, code := p.end(cmd); code != 0 {
				t.Fatalf("code %d: %s", code, text)
			}
			s := &site{t: t, lab: s.lab, home: s.home}
			s.rbee("infer", "-q", "--hive", tt.machine, "-n", "3", "Once upon a time")
		})
	}
	s.rbee("queen", "restart") // with which what was typed is forgotten
	s.rbee("infer", "-q", "--hive", "locked", "-n", "3", "Once upon a time")
	if said := s.refused("infer", "--hive", "password", "x"); !strings.Contains(said, "password") {
		t.Errorf("a password is not kept: %s", said)
	}
	for _, m := range []string{"password", "unknown"} {
		s.rbee("hive", "uninstall", m, "--catalog-only")
	}
	s.rbee("hive", "uninstall", "locked")
	if keys := s.lab.Machine("locked").Run("cat /home/alice/.ssh/authorized_keys"); strings.Contains(keys, "rbee queen") {
		t.Errorf("the queen's key is left: %s", keys)
	}
}

// tells makes a machine's program say what script does.
func tells(program, script string) string {
	return fmt.Sprintf("printf '%%s\\n' '#!/bin/sh' '%s' >/usr/local/bin/%s; chmod 755 /usr/local/bin/%[2]s", script, program)
}

// duringCopy does something in the middle of the copy of an install, which must
// fail, and returns what was said.
func (s *site) duringCopy(m *lab.Machine, do func()) string {
	s.t.Helper()
	m.Limit("40mbit")
	installing := s.command("hive", "install", "--host", m.Name)
	var said bytes.Buffer
	installing.Stdout, installing.Stderr = &said, &said
	if err := installing.Start(); err != nil {
		s.t.Fatal(err)
	}
	for m.Run("ls -A /home/alice/.local/share/rbee 2>/dev/null | grep -c upload || true") == "0\n" {
		time.Sleep(50 * time.Millisecond)
	}
	do()
	if err := installing.Wait(); err == nil {
		s.t.Errorf("the install did not fail: %s", said.String())
	}
	return said.String()
}

func TestLabBadLuck(t *testing.T) {
	t.Parallel()
	s := newSite(t,
		lab.Machine{Name: "arm", Setup: tells("uname", `if [ "$1" = -m ]; then echo aarch64; else exec /bin/uname "$@"; fi`)},
		lab.Machine{Name: "full", Setup: "mount -t tmpfs -o size=20m tmpfs /home/alice; chown alice: /home/alice"},
		lab.Machine{Name: "filling", Setup: "mount -t tmpfs -o size=120m tmpfs /home/alice; chown alice: /home/alice"},
		lab.Machine{Name: "changed"},
		lab.Machine{Name: "readonly", Setup: "mkdir -p /home/alice/.local/share; mount -t tmpfs -o ro tmpfs /home/alice/.local/share"},
		lab.Machine{Name: "cut"},
	)
	if said := s.refused("hive", "install", "--host", "full"); !strings.Contains(said, "MB are free") {
		t.Errorf("a full disk: %s", said)
	}
	if said := s.refused("hive", "install", "--host", "readonly"); !strings.Contains(said, "cannot write") {
		t.Errorf("a folder that cannot be written: %s", said)
	}

	before := s.files(s.lab.Machine("arm"))
	if said := s.refused("hive", "install", "--host", "arm"); !strings.Contains(said, "GOARCH=arm64") {
		t.Errorf("another architecture: %s", said)
	}
	if said := s.refused("hive", "install", "--host", "arm", "--binary", binary); !strings.Contains(said, "linux/amd64") {
		t.Errorf("a binary for another architecture: %s", said)
	}
	if left := s.files(s.lab.Machine("arm")); left != before {
		t.Errorf("left on a machine of another architecture: %s", left)
	}

	s.lab.Machine("changed").NewHostKey()
	if said := s.refused("hive", "install", "--host", "changed", "--accept-new-host-key"); strings.Count(said, "SHA256:") != 2 {
		t.Errorf("a changed key, which must show both fingerprints: %s", said)
	}
	known := filepath.Join(s.lab.Home, ".ssh", "known_hosts")
	if out, err := exec.Command("sh", "-c", "ssh-keygen -q -f "+known+" -R "+s.lab.Machine("changed").Addr()).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.rbee("hive", "test", "--host", "changed", "--accept-new-host-key")
	if said := s.refused("hive", "install", "--host", "nobody@plain.invalid"); !strings.Contains(said, "plain.invalid") {
		t.Errorf("an unknown host: %s", said)
	}

	// Another queen has it already.
	s.rbee("hive", "install", "--host", "changed", "--name", "mine")
	theirs := &site{t: t, lab: s.lab, home: t.TempDir()}
	if said := theirs.refused("hive", "install", "--host", "changed", "--name", "theirs"); !strings.Contains(said, "has a hive already, mine, of the queen of") {
		t.Errorf("another queen's machine: %s", said)
	}
	theirs.rbee("queen", "stop")
	if said := s.refused("hive", "install", "--host", "readonly", "--name", "mine"); !strings.Contains(said, "mine") {
		t.Errorf("a name that is taken: %s", said)
	}
	s.rbee("infer", "-q", "--hive", "mine", "-n", "3", "Once upon a time")
	s.rbee("hive", "uninstall", "mine")

	// The disk fills up in the middle of the copy, and somebody makes room later.
	m := s.lab.Machine("filling")
	if said := s.duringCopy(m, func() { m.Run("dd if=/dev/zero of=/home/alice/big bs=1M 2>/dev/null || true") }); !strings.Contains(said, "could not copy the binary") {
		t.Errorf("a disk that fills up: %s", said)
	}
	m.Run("rm /home/alice/big")
	if left := m.Run("ls -A /home/alice/.local/share/rbee 2>/dev/null || true"); left != "" {
		t.Errorf("left on the disk that filled up: %s", left)
	}
	m.Limit("")
	s.rbee("hive", "install", "--host", "filling")
	s.rbee("hive", "uninstall", "filling", "--models")
	if left := m.Run("ls -A /home/alice/.cache/rbee 2>/dev/null || true"); left != "" {
		t.Errorf("left with the models removed: %s", left)
	}

	// The link goes away in the middle of the copy.
	m = s.lab.Machine("cut")
	if said := s.duringCopy(m, m.Cut); !strings.Contains(said, "could not copy the binary") {
		t.Errorf("a cut in the middle of the copy: %s", said)
	}
	m.Restore()
	m.Limit("")
	s.rbee("hive", "install", "--host", "cut") // removes what was left
	if left := m.Run("ls -A /home/alice/.local/share/rbee | grep -c upload || true"); left != "0\n" {
		t.Errorf("temporary files are left: %s", left)
	}
	s.rbee("hive", "uninstall", "cut")
}
