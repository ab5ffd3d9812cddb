package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hiveScript stands for rbee: it serves until its state folder has a file called
// end, and fails once there is one called crash.
const hiveScript = `#!/bin/sh
if [ "$1" = --version ]; then echo rbee; exit 0; fi
if [ "$2" = end ]; then touch "$HOME/.local/state/rbee/ended"; exit 0; fi
state="$HOME/.local/state/rbee"
echo "$RBEE_HOME|$*" >>"$state/served"
while [ ! -e "$state/end" ]; do
  if [ -e "$state/crash" ]; then rm "$state/crash"; exit 3; fi
  sleep 0.05
done
`

// here is a service of this machine in a home of its own.
func here(t *testing.T) (Service, Binary) {
	t.Helper()
	home := filepath.Join(t.TempDir(), `it's $HOME`)
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	t.Setenv("XDG_RUNTIME_DIR", home) // no service manager answers there
	path := filepath.Join(t.TempDir(), "rbee")
	if err := os.WriteFile(path, []byte(hiveScript), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := OpenBinary(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Look(t.Context(), Here{}, "")
	if err != nil {
		t.Fatal(err)
	}
	return Service{Shell: Here{}, Site: SiteOf(f), Name: "gpu1"}, b
}

// eventually waits for a condition that something else brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("it never happened: %s", what)
}

func lines(path string) int {
	text, _ := os.ReadFile(path) // a missing one has none
	return strings.Count(string(text), "\n")
}

func supervisor(t *testing.T, s Service) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.State, "supervise.pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func put(t *testing.T, s Service, b Binary) (before string) {
	t.Helper()
	if err := s.Prepare(t.Context(), &Claim{Queen: "Q", Of: "me", Hive: s.Name}); err != nil {
		t.Fatal(err)
	}
	f, err := Look(t.Context(), s.Shell, s.Data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Copy(t.Context(), b, f.Binaries); err != nil {
		t.Fatal(err)
	}
	if before, err = s.Switch(t.Context(), b.Name()); err != nil {
		t.Fatal(err)
	}
	return before
}

func TestAServiceLivesAndLeavesNothingBehind(t *testing.T) {
	s, b := here(t)
	s.Env = []string{"RBEE_HOME=a 'b' $c"}
	put(t, s, b)
	started, err := s.Start(t.Context())
	if err != nil || started.Systemd {
		t.Fatalf("%+v, %v", started, err)
	}
	served := filepath.Join(s.State, "served")
	eventually(t, "the hive serves", func() bool { return lines(served) == 1 })
	if text, _ := os.ReadFile(served); string(text) != "a 'b' $c|hive serve --service --name gpu1\n" {
		t.Errorf("it was started as %q", text)
	}

	touch(t, s, "crash")
	eventually(t, "it is started again after a crash", func() bool { return lines(served) == 2 })
	if tail := s.Tail(t.Context()); !strings.Contains(tail, "crashed") {
		t.Errorf("the log says %q", tail)
	}
	pid := supervisor(t, s)
	if _, err := s.Start(t.Context()); err != nil { // a second one takes the first one's place
		t.Fatal(err)
	}
	eventually(t, "another supervisor", func() bool { now := supervisor(t, s); return now != 0 && now != pid })
	if syscall.Kill(pid, 0) == nil {
		t.Error("two supervisors at once")
	}

	touch(t, s, "end")
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.State, "ended")); err != nil {
		t.Error("stopping did not end what was left:", err)
	}
	for _, name := range []string{"end", "ended", "served"} { // the test's own
		if err := os.Remove(filepath.Join(s.State, name)); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "nothing is left", func() bool {
		if err := s.Remove(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		_, data := os.Stat(s.Data)
		_, state := os.Stat(s.State)
		return os.IsNotExist(data) && os.IsNotExist(state)
	})
}

func touch(t *testing.T, s Service, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.State, name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestABinaryThatIsThereIsNotCopiedAndADamagedOneIsRefused(t *testing.T) {
	s, b := here(t)
	put(t, s, b)
	copied, err := s.Copy(t.Context(), b, []string{b.Name()})
	if err != nil || copied {
		t.Errorf("copied %v, %v", copied, err)
	}
	if err := os.WriteFile(filepath.Join(s.Data, b.Name()), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Copy(t.Context(), b, []string{b.Name()}); err == nil {
		t.Error("a damaged binary was taken for the right one")
	}
}

func TestSwitchingTellsWhatWasThereAndPruningKeepsIt(t *testing.T) {
	s, b := here(t)
	if before := put(t, s, b); before != "" {
		t.Errorf("before the first there was %q", before)
	}
	second := filepath.Join(t.TempDir(), "second")
	if err := os.WriteFile(second, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	next, err := OpenBinary(second)
	if err != nil {
		t.Fatal(err)
	}
	if before := put(t, s, next); before != b.Name() {
		t.Errorf("before the second there was %q, want %q", before, b.Name())
	}
	if err := os.WriteFile(filepath.Join(s.Data, "rbee-broken"), []byte("#!/bin/sh\necho it lacks a library; exit 127\n"), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	for _, name := range []string{"rbee-none", "rbee-broken"} {
		if _, err := s.Switch(t.Context(), name); err == nil {
			t.Errorf("switched to %s", name)
		}
	}
	if err := s.Prune(t.Context(), next.Name()); err != nil {
		t.Fatal(err)
	}
	f, err := Look(t.Context(), s.Shell, "")
	if err != nil || len(f.Binaries) != 1 || f.Current != next.Name() {
		t.Errorf("left: %v, current %q, %v", f.Binaries, f.Current, err)
	}
	if f.Claim == nil || f.Claim.Hive != "gpu1" {
		t.Errorf("the claim: %+v", f.Claim)
	}
}

func TestAKeyIsAddedOnceAndTakenBack(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	file := filepath.Join(home, ".ssh", "authorized_keys")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	const mine, queens = "ssh-ed25519 AAAAmine me", "ssh-ed25519 AAAAqueen rbee queen of a.b@desk [x]"
	if err := os.WriteFile(file, []byte(mine), 0o600); err != nil { // without a newline, as people leave it
		t.Fatal(err)
	}
	for range 2 {
		if err := Authorize(t.Context(), Here{}, queens); err != nil {
			t.Fatal(err)
		}
	}
	if text, _ := os.ReadFile(file); string(text) != mine+"\n"+queens+"\n" {
		t.Errorf("got %q", text)
	}
	if err := Unauthorize(t.Context(), Here{}, queens); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(file); string(text) != mine+"\n" {
		t.Errorf("taken back: %q", text)
	}
}

func TestTheUnitIsOneThatSystemdTakes(t *testing.T) {
	s := Service{Site: Site{Data: `/home/a b/100% $x`, State: "/s", Env: []string{`RBEE_HOME=/x "y"`}}, Name: "gpu1", Listen: ":$7834"}
	unit := s.unit()
	for _, want := range []string{
		`ExecStart="/home/a b/100%% $x/rbee" "hive" "serve" "--service" "--name" "gpu1" "--listen" ":$$7834"`,
		`Environment="RBEE_HOME=/x \"y\""`, "KillMode=process", "Restart=on-failure", "WantedBy=default.target",
	} {
		if !strings.Contains(unit, want) {
			t.Errorf("the unit lacks %q:\n%s", want, unit)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("systemd-analyze is not here")
	}
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	s.Site = Site{Data: filepath.Join(t.TempDir(), "a b $c")}
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Binary(), []byte("#!/bin/sh\n"), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rbee-hive.service")
	if err := os.WriteFile(path, []byte(s.unit()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), analyze, "--user", "verify", path).CombinedOutput(); err != nil || strings.Contains(string(out), "rbee-hive") {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}
