package modes_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh/sshtest"
)

// far is a place whose queen reaches another machine: an account of its own
// behind an SSH server, with the slow model in it.
type far struct {
	*place
	mine    string // the home folder here
	server  *sshtest.Server
	account string // the home folder over there
	host    string // what --host takes
	options sshtest.Options
}

func newFar(t *testing.T, o sshtest.Options, env ...string) *far {
	t.Helper()
	mine := sshtest.Home(t)
	o.AuthorizedKeys = append(o.AuthorizedKeys, sshtest.WriteKey(t, mine, "id_ed25519", ""))
	o.Home = filepath.Join(t.TempDir(), "it's $HOME")
	if err := os.MkdirAll(filepath.Join(o.Home, ".cache/rbee/models/slow"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.Home, ".cache/rbee/models/slow/slow.gguf"), slow(), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Env = append(o.Env, "XDG_RUNTIME_DIR="+o.Home) // where no service manager answers
	f := &far{mine: mine, account: o.Home, options: o}
	t.Cleanup(func() { f.nothingRunsThere() }) // after the queen's end
	f.place, f.server = newPlace(t, append(env, "HOME="+mine, "SSH_AUTH_SOCK=")...), sshtest.New(t, o)
	f.host = "alice@" + f.server.Addr
	return f
}

// trust makes the machine a known one.
func (f *far) trust() {
	f.t.Helper()
	sshtest.Write(f.t, f.mine, "known_hosts", f.server.KnownHosts())
}

// install installs the hive gpu1, which the test's end removes.
func (f *far) install(flags ...string) {
	f.t.Helper()
	f.trust()
	f.rbee(append([]string{"hive", "install", "--host", f.host, "--name", "gpu1"}, flags...)...)
	f.t.Cleanup(func() {
		if strings.Contains(f.rbee("hive", "list"), "gpu1") {
			f.rbee("hive", "uninstall", "gpu1")
		}
	})
}

// further installs a hive in an account of one more machine.
func (f *far) further(name string) {
	f.t.Helper()
	o := f.options
	o.Home = filepath.Join(f.t.TempDir(), name)
	models := filepath.Join(o.Home, ".cache/rbee/models/slow")
	if err := os.MkdirAll(models, 0o700); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(models, "slow.gguf"), slow(), 0o600); err != nil {
		f.t.Fatal(err)
	}
	o.Env = append(slices.Clip(f.options.Env), "XDG_RUNTIME_DIR="+o.Home)
	server := sshtest.New(f.t, o)
	sshtest.Write(f.t, f.mine, "known_hosts", f.server.KnownHosts()+server.KnownHosts())
	f.rbee("hive", "install", "--host", "alice@"+server.Addr, "--name", name)
	f.t.Cleanup(func() { f.rbee("hive", "uninstall", name) })
}

// refused runs a command that must fail, and returns its code and what it said.
func (f *far) refused(args ...string) (int, string) {
	f.t.Helper()
	cmd := f.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		f.t.Errorf("rbee %s: %v, and it should fail", strings.Join(args, " "), err)
	}
	return cmd.ProcessState.ExitCode(), stderr.String()
}

func (f *far) hive(id string) ops.Hive {
	f.t.Helper()
	var h ops.Hive
	if err := json.Unmarshal([]byte(f.rbee("hive", "get", id, "-o", "json")), &h); err != nil {
		f.t.Fatal(err)
	}
	return h
}

// files lists what the account holds, models apart.
func (f *far) files() []string {
	f.t.Helper()
	var list []string
	err := filepath.WalkDir(f.account, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.Contains(path, "/.cache/rbee/models/") {
			list = append(list, strings.TrimPrefix(path, f.account+"/"))
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

// nothingRunsThere checks that no process of rbee's is left, or stays, beside what
// the caller names.
func (f *far) nothingRunsThere(but ...string) {
	f.t.Helper()
	var left []string
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if left = f.runningThere(but); len(left) == 0 || time.Now().After(deadline) {
			break
		}
	}
	for _, process := range left {
		f.t.Errorf("a process is left over there: %s", process)
	}
}

// runningThere lists the processes of rbee's, beside what is named.
func (f *far) runningThere(but []string) (list []string) {
	f.t.Helper()
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		f.t.Fatal(err)
	}
	for _, path := range environs {
		text, err := os.ReadFile(path)
		if command, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline")); err == nil &&
			bytes.Contains(text, []byte("HOME="+f.account+"\x00")) && !bytes.HasPrefix(command, []byte("sleep")) &&
			!slices.ContainsFunc(but, func(name string) bool { return bytes.Contains(command, []byte(name)) }) {
			list = append(list, fmt.Sprintf("%s %q", filepath.Dir(path), command))
		}
	}
	return list
}

func TestAHiveOnAnotherMachineLivesItsWholeLife(t *testing.T) {
	t.Parallel() // it waits
	for name, o := range map[string]sshtest.Options{
		"sockets forwarded": {},
		"through the pipe":  {RefuseSockets: ssh.ConnectionFailed, NoSFTP: true, Noise: "Welcome!\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFar(t, o)
			code, said := f.refused("hive", "install", "--host", f.host, "--name", "gpu1")
			if code != 1 || !strings.Contains(said, "SHA256:") || !strings.Contains(said, "--accept-new-host-key") {
				t.Errorf("an unknown machine: %d, %s", code, said)
			}
			f.install()
			if h := f.hive("gpu1"); h.State != ops.HiveUp || h.Host != f.host || len(h.Devices) == 0 || h.Models != 2 {
				t.Errorf("installed: %+v", h)
			}
			f.rbee("hive", "install", "--host", f.host, "--name", "gpu1") // harmless
			f.rbee("hive", "update", "gpu1", "--idle-timeout", "2h")
			f.rbee("hive", "install", "--host", f.host, "--name", "gpu1") // keeps it
			if h := f.hive("gpu1"); h.IdleTimeout != "2h" {
				t.Errorf("with an idle timeout: %+v", h)
			}
			if got := f.rbee("infer", "--hive", "gpu1", "-n", "5", "--seed", "1", "Once"); got != f.rbee("infer", "--hive", "localhost", "-n", "5", "--seed", "1", "Once") {
				t.Errorf("gpu1 says %q", got)
			}
			if models := f.rbee("model", "list"); !strings.Contains(models, "gpu1, localhost") {
				t.Errorf("the models of both: %s", models)
			}

			f.rbee("hive", "env", "gpu1", "HF_ENDPOINT=https://mirror.example")

			f.rbee("hive", "stop", "gpu1")
			f.nothingRunsThere("hive\x00pipe") // which is the queen's connection
			if _, said := f.refused("infer", "--hive", "gpu1", "x"); !strings.Contains(said, "rbee hive start gpu1") {
				t.Errorf("of a stopped one: %s", said)
			}
			f.rbee("hive", "start", "gpu1")
			f.rbee("hive", "update", "gpu1", "--name", "attic")
			if h := f.hive("attic"); h.State != ops.HiveUp {
				t.Errorf("renamed: %+v", h)
			}
			f.rbee("infer", "--hive", "attic", "-n", "3", "Once")
			if env := f.rbee("hive", "env", "attic"); !strings.Contains(env, "https://mirror.example") || strings.Contains(f.rbee("hive", "env", "localhost"), "mirror.example") {
				t.Errorf("its environment: %s", env)
			}
			f.rbee("hive", "uninstall", "attic")
			if left := f.files(); len(left) != 0 {
				t.Errorf("left over there: %q", left)
			}
		})
	}
}

func TestAnAnswerFromAnotherMachineGoesOn(t *testing.T) {
	t.Parallel() // it waits
	f := newFar(t, sshtest.Options{})
	f.install()
	f.flags = []string{"--hive", "gpu1"}
	want := f.undisturbed()
	for _, tt := range []struct {
		name string
		do   func()
	}{
		{"the connection is cut", f.server.Drop},
		{"the queen is killed", func() { f.kill(f.record("queen").PID) }},
		{"the hive is killed", func() { f.kill(f.hive("gpu1").PID) }},
		{"the hive gets another build", func() { f.rbee("hive", "update", "gpu1", "--binary", otherBuild(t)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := f.begin()
			tt.do()
			text, code := a.end()
			if code != 0 || text != want {
				t.Errorf("code %d, %d bytes of %d, said %q", code, len(text), len(want), a.stderr.String())
			}
		})
	}
	if list := f.workers(); len(list) != 1 {
		t.Errorf("the worker was not kept: %+v", list)
	}
}

// otherBuild is an rbee of another build.
func otherBuild(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rbee")
	if err := os.WriteFile(path, append(text, "another build"...), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	return path
}

// broken is a program that is none of ours: ls knows --version, and crashes of
// all the rest.
func broken(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("ls")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhatCannotBeInstalledLeavesTheMachineAsItWas(t *testing.T) {
	t.Parallel() // it waits
	f := newFar(t, sshtest.Options{})
	f.trust()
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	host := func(more ...string) []string { return append([]string{"hive", "install", "--host"}, more...) }
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a host that is a flag":         {[]string{"hive", "install", "--host=-oProxyCommand=touch x"}, 2, "--host"},
		"a host with a shell in it":     {host("$(id)@gpu1"), 2, "--host"},
		"a name with a shell in it":     {host(f.host, "--name", "; rm -rf ~"), 2, "--name"},
		"a name with a newline":         {host(f.host, "--name", "a\nb"), 2, "--name"},
		"a name that begins with dash":  {host(f.host, "--name=-x"), 2, "--name"},
		"the queen's own name":          {host(f.host, "--name", "localhost"), 2, "--name"},
		"a host that is not there":      {host("alice@no.such.host.invalid", "--name", "a"), 1, "no.such.host.invalid"},
		"a port that nobody listens on": {host("alice@127.0.0.1:1", "--name", "a"), 1, "refused"},
		"a binary that is none":         {host(f.host, "--name", "a", "--binary", script), 2, "no program"},
		"a binary that is not there":    {host(f.host, "--name", "a", "--binary", script+"x"), 2, "no such file"},
		"a binary that serves nothing":  {host(f.host, "--name", "a", "--binary", broken(t)), 1, "unrecognized option"},
	} {
		t.Run(name, func(t *testing.T) {
			code, said := f.refused(tt.args...)
			if code != tt.code || !strings.Contains(said, tt.says) {
				t.Errorf("code %d, want %d with %q: %s", code, tt.code, tt.says, said)
			}
			if left := f.files(); len(left) != 0 {
				t.Errorf("left over there: %q", left)
			}
			if list := f.rbee("hive", "list"); strings.Count(list, "\n") != 2 {
				t.Errorf("in the books: %s", list)
			}
		})
	}
}

func TestAnotherQueensMachineIsLeftAlone(t *testing.T) {
	t.Parallel() // it waits
	f := newFar(t, sshtest.Options{})
	f.install()
	other := newPlace(t, f.env...)
	cmd := other.command("hive", "install", "--host", f.host, "--name", "mine")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "has a hive already, gpu1, of the queen of") {
		t.Errorf("%v: %s", err, out)
	}
	if _, said := f.refused("hive", "install", "--host", f.host, "--name", "second"); !strings.Contains(said, "is the hive gpu1 already") {
		t.Errorf("a second name for the same machine: %s", said)
	}
	if h := f.hive("gpu1"); h.State != ops.HiveUp {
		t.Errorf("the first queen's hive: %+v", h)
	}
}

func TestABuildThatDoesNotAnswerIsTakenBack(t *testing.T) {
	t.Parallel() // it waits
	f := newFar(t, sshtest.Options{})
	f.install()
	before := f.hive("gpu1")
	if _, said := f.refused("hive", "update", "gpu1", "--binary", broken(t)); !strings.Contains(said, "unrecognized option") || !strings.Contains(said, "is started again") {
		t.Errorf("it says %s", said)
	}
	f.rbee("infer", "--hive", "gpu1", "-n", "3", "Once")
	if h := f.hive("gpu1"); h.State != ops.HiveUp || h.Build != before.Build {
		t.Errorf("before %+v, after %+v", before, h)
	}
}

func TestAMachineThatIsGoneIsShownAsDownAndCanBeForgotten(t *testing.T) {
	t.Parallel() // it waits
	f := newFar(t, sshtest.Options{})
	f.install()
	f.rbee("hive", "stop", "gpu1") // which no test could end afterwards
	f.server.Refuse()
	f.server.Drop()
	f.rbee("queen", "restart")
	if list := f.rbee("hive", "list"); !strings.Contains(list, "gpu1       down") || !strings.Contains(list, "localhost") {
		t.Errorf("listed as %s", list)
	}
	if code, said := f.refused("hive", "uninstall", "gpu1"); code != 1 || !strings.Contains(said, "--catalog-only") {
		t.Errorf("code %d: %s", code, said)
	}
	f.rbee("hive", "uninstall", "gpu1", "--catalog-only")
	if list := f.rbee("hive", "list"); strings.Contains(list, "gpu1") {
		t.Errorf("forgotten, and listed: %s", list)
	}
}

// TestAHiveElsewhereThatHangsIsToldOfAndCanBeReplaced: its machine answers, and it does
// not. Beside many others the queen may replace it before she has told of it.
func TestAHiveElsewhereThatHangsIsToldOfAndCanBeReplaced(t *testing.T) {
	f := newFar(t, sshtest.Options{})
	f.install()
	f.rbee("infer", "--hive", "gpu1", "-n", "1", "hi")
	worker, hung := f.workers()[0], f.hive("gpu1").PID
	f.stop(hung)
	_, said := f.fails(1, "infer", "--hive", "gpu1", "-n", "1", "hi")
	says(t, said, "gpu1", "does not answer", "`rbee hive start gpu1` ends it")
	for end := time.Now().Add(2 * time.Minute); f.hive("gpu1").State != ops.HiveDown && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	says(t, f.rbee("hive", "list"), "gpu1", "down", "does not answer")
	says(t, f.rbee("hive", "start", "gpu1"), "up")
	if now := f.hive("gpu1"); now.PID == hung {
		t.Errorf("the hive that hung is still there: %+v", now)
	}
	f.rbee("infer", "--hive", "gpu1", "-n", "1", "hi")
	if list := f.workers(); len(list) != 1 || list[0].PID != worker.PID {
		t.Errorf("the worker was not kept: %+v, was %+v", list, worker)
	}
}

func TestTheQueensKeyIsAddedAndTakenBack(t *testing.T) {
	t.Parallel() // it waits
	f := newFar(t, sshtest.Options{})
	f.install("--add-key")
	keys := filepath.Join(f.account, ".ssh", "authorized_keys")
	if text, err := os.ReadFile(keys); err != nil || !strings.Contains(string(text), "rbee queen of") {
		t.Errorf("%q, %v", text, err)
	}
	f.rbee("hive", "uninstall", "gpu1")
	if text, err := os.ReadFile(keys); err != nil || len(text) != 0 {
		t.Errorf("not taken back: %q, %v", text, err)
	}
}
