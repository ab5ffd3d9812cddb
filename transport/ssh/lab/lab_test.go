package lab_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rbee.dev/rbee/transport/ssh/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheMachinesAreWhatTheySay(t *testing.T) {
	l := lab.Start(t,
		lab.Machine{Name: "plain"},
		lab.Machine{Name: "fishy", Shell: "/usr/bin/fish"},
		lab.Machine{Name: "noforward", SSHD: "AllowStreamLocalForwarding no"},
		lab.Machine{Name: "nosftp", NoSFTP: true},
		lab.Machine{Name: "space", Home: "/home/al ice"},
		lab.Machine{Name: "inner", Through: "plain"},
	)
	ssh := func(args ...string) (string, error) {
		out, err := l.Command("ssh", append([]string{"-o", "ConnectTimeout=5", "-o", "StrictHostKeyChecking=yes"}, args...)...).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	for _, name := range []string{"plain", "fishy", "noforward", "nosftp", "space", "inner"} {
		if out, err := ssh(name, "whoami; hostname; pwd"); err != nil || out != "alice\n"+name+"\n"+l.Machine(name).Alice() {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	if out, _ := ssh("fishy", "echo $FISH_VERSION$version"); out == "" {
		t.Error("the login shell of fishy is no fish")
	}
	if out, err := l.Command("bash", "-c", "timeout 2 bash -c '</dev/tcp/"+l.Machine("inner").Addr()+"/22'").CombinedOutput(); err == nil {
		t.Errorf("inner is reached directly: %s", out)
	}
	for name, works := range map[string]bool{"plain": true, "nosftp": false} {
		out, err := ssh("-s", name, "sftp")
		if strings.Contains(out, "subsystem request failed") == works {
			t.Errorf("%s has SFTP: %v: %s", name, err, out)
		}
	}
	if seen := l.Machine("plain").Run("ps ax"); strings.Contains(seen, "go test") || strings.Count(seen, "-D -e") != 1 {
		t.Errorf("plain sees processes that are not its own:\n%s", seen)
	}
}

func TestAMachineMayBeFarAway(t *testing.T) {
	const away = 100 * time.Millisecond
	l := lab.Start(t, lab.Machine{Name: "far", Delay: away})
	began := time.Now()
	out, err := l.Command("ssh", "-o", "StrictHostKeyChecking=yes", "far", "hostname").CombinedOutput()
	if err != nil || string(out) != "far\n" {
		t.Fatalf("%v: %s", err, out)
	}
	// A login and a command go there and back several times.
	if took := time.Since(began); took < 4*away {
		t.Errorf("it took %s only", took)
	}
}

func TestAMachineMayHaveSystemd(t *testing.T) {
	l := lab.Start(t, lab.Machine{Name: "gpu1", Systemd: true})
	out, err := l.Command("ssh", "gpu1", "systemctl --user is-active basic.target; loginctl show-user alice -p Linger").CombinedOutput()
	if err != nil || string(out) != "active\nLinger=no\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// Two systemds over one tree fail each other's services.
func TestMachinesWithSystemdHaveControlGroupsOfTheirOwn(t *testing.T) {
	l := lab.Start(t, lab.Machine{Name: "gpu1", Systemd: true}, lab.Machine{Name: "gpu2", Systemd: true})
	l.Machine("gpu1").Run("mkdir /sys/fs/cgroup/mine")
	if seen := l.Machine("gpu2").Run("ls /sys/fs/cgroup"); strings.Contains(seen, "mine") || !strings.Contains(seen, "system.slice") {
		t.Errorf("gpu2 has the groups %s", seen)
	}
}

func TestCablesAndSessionsCanBeCut(t *testing.T) {
	l := lab.Start(t, lab.Machine{Name: "gpu1"})
	m := l.Machine("gpu1")
	try := func() error {
		out, err := l.Command("ssh", "-o", "ConnectTimeout=2", "gpu1", "true").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	if err := try(); err != nil {
		t.Fatal(err)
	}
	m.Cut()
	if try() == nil {
		t.Error("the machine is reached without a cable")
	}
	m.Restore()
	if err := try(); err != nil {
		t.Errorf("the cable is back: %v", err)
	}

	session := l.Command("ssh", "gpu1", "echo up; sleep 60")
	out, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	m.KillSessions()
	if err := session.Wait(); err == nil {
		t.Error("the session went on")
	}

	m.NewHostKey()
	if out, err := l.Command("ssh", "-o", "StrictHostKeyChecking=yes", "gpu1", "true").CombinedOutput(); err == nil {
		t.Errorf("another host key was taken: %s", out)
	}
	m.Limit("10mbit")
	m.Lose(10)
	if left := m.Run("cat /proc/net/dev"); !strings.Contains(left, "eth0") {
		t.Errorf("interfaces: %s", left)
	}
	m.Lose(0)
	m.Limit("")
}

func TestNothingIsLeftOfALab(t *testing.T) {
	t.Run("a lab", func(t *testing.T) { lab.Start(t, lab.Machine{Name: "gpu1"}) })
	if t.Skipped() {
		return
	}
	for _, look := range [][]string{{"ip", "netns", "list"}, {"cat", "/proc/mounts"}, {"ps", "axww"}} {
		out, err := exec.Command(look[0], look[1:]...).Output()
		if err != nil {
			t.Skip(err)
		}
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "TestNothingIsLeftOfALab") {
				t.Errorf("left behind: %s", line)
			}
		}
	}
}

// TestALabForAPerson keeps a lab up, for whoever wants to try something in it,
// until Ctrl-C.
func TestALabForAPerson(t *testing.T) {
	if os.Getenv("RBEE_LAB_HOLD") == "" {
		t.Skip("only when asked for: RBEE_LAB_HOLD=1")
	}
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l := lab.Start(t,
		lab.Machine{Name: "gpu1"},
		lab.Machine{Name: "systemd", Systemd: true},
		lab.Machine{Name: "fishy", Shell: "/usr/bin/fish"},
		lab.Machine{Name: "nosftp", NoSFTP: true},
		lab.Machine{Name: "noforward", SSHD: "AllowStreamLocalForwarding no"},
		lab.Machine{Name: "far", Delay: 20 * time.Millisecond},
		lab.Machine{Name: "inner", Through: "gpu1"},
	)
	t.Logf(`the lab is up: gpu1, systemd, fishy, nosftp, noforward, far, inner. In another shell:
	%s env HOME=%s bash
	ssh -F ~/.ssh/config gpu1
	rbee hive install --host gpu1
Ctrl-C takes the lab down.`, strings.Join(l.Command("X").Args[:4], " "), l.Home)
	<-ctx.Done()
}
