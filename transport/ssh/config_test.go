package ssh_test

import (
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
	"rbee.dev/rbee/transport/ssh/sshtest"
)

// resolve is the way to name as "user@host:port", hop by hop.
func resolve(t *testing.T, home, name string) (string, []string) {
	t.Helper()
	target, err := ssh.ParseTarget(name)
	if err != nil {
		t.Fatal(err)
	}
	hops, notes, err := ssh.Resolve(target, ssh.Options{Home: home, SystemConfigFile: filepath.Join(home, ".ssh", "system")})
	if err != nil {
		t.Fatal(err)
	}
	var way []string
	for _, h := range hops {
		way = append(way, h.String())
	}
	return strings.Join(way, " "), notes
}

func TestTheConfigurationSaysWhereAMachineIs(t *testing.T) {
	home := sshtest.Home(t)
	sshtest.Write(t, home, "config", `
# a comment
Host gpu1 gpu-alias
	HostName 192.0.2.1
	Port=2201
	User alice # and another
Host "gpu2"
	HostName = %h.example.com
Host v6
	HostName 2001:db8::1
Host !gpu3 gpu*
	User anybody
Host far
	HostName far.lan
	ProxyJump bob@jump1:2222,ssh://jump2
Host near
	ProxyJump far
Host direct
	ProxyJump none
Host token
	ProxyJump %r@jump-%h
Host jump1
	User unused
	HostName jump1.lan
Host jump2
	User carol
	ProxyJump never
Host twice
	Port 1001
	Port 1002
hostname not-of-all
include more/*.conf
Match host matched,other
	User match
Match exec "true"
	User exec
Match all
	User last
`)
	if err := os.Mkdir(filepath.Join(home, ".ssh", "more"), 0o700); err != nil {
		t.Fatal(err)
	}
	sshtest.Write(t, home, "more/1.conf", "Port 3000\nHost inner\n\tHostName inner.lan\n")
	sshtest.Write(t, home, "more/2.conf", "Include more/missing.conf\nHost twice\n\tUser included\n")
	sshtest.Write(t, home, "system", "Host *\n\tUser system\nHost sys\n\tHostName sys.lan\n\tPort 4000\n")
	for name, want := range map[string]string{
		"gpu1":           "alice@192.0.2.1:2201",
		"gpu-alias":      "alice@192.0.2.1:2201",
		"bob@gpu1:1":     "bob@192.0.2.1:1",
		"gpu2":           "anybody@gpu2.example.com:22",
		"gpu3":           "last@gpu3:22",
		"v6":             "last@[2001:db8::1]:22",
		"far":            "bob@jump1.lan:2222 carol@jump2:22 last@far.lan:22",
		"near":           "bob@jump1.lan:2222 carol@jump2:22 last@far.lan:22 last@near:22",
		"direct":         "last@direct:22",
		"token":          "last@jump-token:22 last@token:22",
		"bob@token":      "bob@jump-token:22 bob@token:22",
		"matched":        "match@matched:22",
		"twice":          "included@not-of-all:1001",
		"sys":            "last@sys.lan:4000",
		"inner":          "last@inner:22", // only what the block that includes applies to
		"nobody-knows":   "last@nobody-knows:22",
		"x@nobody-knows": "x@nobody-knows:22",
	} {
		way, notes := resolve(t, home, name)
		if way != want {
			t.Errorf("the way to %s is %s, want %s", name, way, want)
		}
		if len(notes) == 0 || !strings.Contains(notes[0], "config:") {
			t.Errorf("the notes on %s are %q, want the Match block that was not read", name, notes)
		}
	}
}

func TestWithoutAConfigurationThereAreDefaults(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if way, notes := resolve(t, t.TempDir(), "gpu1"); way != me.Username+"@gpu1:22" || len(notes) != 0 {
		t.Errorf("the way is %s (%q)", way, notes)
	}
}

func TestAConfigurationThatCannotBeReadIsAClearError(t *testing.T) {
	for name, text := range map[string]string{
		"includes itself": "Include config\n",
		"no pattern":      "Include [\n",
		"a bad jump":      "ProxyJump a;b\n",
		"a bad host":      "HostName $(id)\n",
		"a bad user":      "User -x\n",
		"a bad port":      "Port 99999\n",
		"jumps to itself": "ProxyJump gpu1\n",
	} {
		t.Run(name, func(t *testing.T) {
			home := sshtest.Home(t)
			sshtest.Write(t, home, "config", text)
			_, _, err := ssh.Resolve(ssh.Target{Host: "gpu1"}, ssh.Options{Home: home, SystemConfigFile: "/none"})
			wantError(t, err, ops.CodeInvalid, "")
		})
	}
}

func FuzzResolve(f *testing.F) {
	for _, text := range []string{
		"Host a\n HostName %h.b\n Port 22\n ProxyJump x,y\n", "Match host a\nUser \"b c\"\n", "Include *\n", "Host=a\n=\n", "IdentityFile \"~/%d\n", "Host\nMatch\nInclude\n\x00",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		home := sshtest.Home(t)
		sshtest.Write(t, home, "config", text)
		hops, _, err := ssh.Resolve(ssh.Target{Host: "a"}, ssh.Options{Home: home, SystemConfigFile: "/none"})
		if err != nil {
			return
		}
		if len(hops) == 0 || len(hops) > 64 {
			t.Errorf("there are %d hops", len(hops))
		}
		for _, h := range hops {
			if err := (ssh.Target{User: h.User, Host: h.Host, Port: h.Port}).Validate(); err != nil || h.Port == 0 {
				t.Errorf("%+v: %v", h, err)
			}
		}
	})
}

func TestKeysAndKnownHostsAreFoundWhereTheConfigurationSays(t *testing.T) {
	a := newAccount(t)
	s := a.server(t, sshtest.Options{})
	for old, now := range map[string]string{"id_ed25519": "a key of my own", "known_hosts": "hosts-127.0.0.1"} {
		if err := os.Rename(filepath.Join(a.home, ".ssh", old), filepath.Join(a.home, ".ssh", now)); err != nil {
			t.Fatal(err)
		}
	}
	sshtest.Write(t, a.home, "config", "IdentityFile \"~/.ssh/a key of my own\"\nUserKnownHostsFile %d/.ssh/none ~/.ssh/hosts-%h\n")
	_ = connect(t, s, a.options())
}
