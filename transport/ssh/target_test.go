package ssh_test

import (
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
)

func TestATargetIsReadAsSSHReadsIt(t *testing.T) {
	for text, want := range map[string]ssh.Target{
		"gpu1":                          {Host: "gpu1"},
		"alice@gpu1":                    {User: "alice", Host: "gpu1"},
		"alice@gpu1:2222":               {User: "alice", Host: "gpu1", Port: 2222},
		"gpu1:22":                       {Host: "gpu1", Port: 22},
		"192.0.2.7:22":                  {Host: "192.0.2.7", Port: 22},
		"2001:db8::1":                   {Host: "2001:db8::1"},
		"bob@2001:db8::1":               {User: "bob", Host: "2001:db8::1"},
		"[2001:db8::1]":                 {Host: "2001:db8::1"},
		"[2001:db8::1]:2222":            {Host: "2001:db8::1", Port: 2222},
		"fe80::1%eth0":                  {Host: "fe80::1%eth0"},
		"alice@example.com@gpu1":        {User: "alice@example.com", Host: "gpu1"},
		"ssh://alice@gpu1:2222":         {User: "alice", Host: "gpu1", Port: 2222},
		"ssh://gpu1/":                   {Host: "gpu1"},
		"my_box.lan":                    {Host: "my_box.lan"},
		"bücher.example":                {Host: "bücher.example"},
		"alice.b+c_d-e@gpu-1.lan:65535": {User: "alice.b+c_d-e", Host: "gpu-1.lan", Port: 65535},
	} {
		got, err := ssh.ParseTarget(text)
		if err != nil || got != want {
			t.Errorf("ParseTarget(%q) = %+v, %v; want %+v", text, got, err, want)
			continue
		}
		if again, err := ssh.ParseTarget(got.String()); err != nil || again != got {
			t.Errorf("%q is written as %q, which is read as %+v, %v", text, got, again, err)
		}
	}
}

func TestWhatCouldHarmIsNoTarget(t *testing.T) {
	for _, text := range []string{
		"", "@", "@gpu1", "alice@", "-oProxyCommand=touch", "alice@-oProxyCommand=touch", "-l@gpu1",
		"gpu1; rm -rf /", "gpu1 gpu2", "gpu1\n", "gpu1\x00", "'gpu1'", `"gpu1"`, "$(id)", "`id`", "gpu1|sh", "gpu1&", "a\\b", "gp?1", "gpu*",
		"alice$(id)@gpu1", "alice bob@gpu1", "al\x1bice@gpu1",
		"gpu1:", "gpu1:0", "gpu1:65536", "gpu1:ssh", "gpu1:-1", "gpu1:+1", "gpu1:22:22", "::1:22x", "[::1", "::1]", "[gpu1:22", "[::1]x", "[]", "[gpu;1]:22",
		"a%b", strings.Repeat("a", 300), "\xff\xfe",
	} {
		got, err := ssh.ParseTarget(text)
		if err == nil {
			t.Errorf("ParseTarget(%q) = %+v, want an error", text, got)
			continue
		}
		wantError(t, err, ops.CodeInvalid, "")
	}
}

func TestATargetMadeByHandIsCheckedToo(t *testing.T) {
	for _, target := range []ssh.Target{{}, {Host: "-x"}, {Host: "a", User: "-x"}, {Host: "a", Port: -1}, {Host: "a", Port: 70000}, {Host: "a:b"}} {
		_, err := ssh.Dial(within(t), target, ssh.Options{})
		wantError(t, err, ops.CodeInvalid, "")
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"alice@gpu1:22", "[::1]:22", "fe80::1%eth0", "-oProxyCommand=x", "a@b@c", "ssh://x/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ssh.ParseTarget(s)
		if err != nil {
			return
		}
		if again, err := ssh.ParseTarget(got.String()); err != nil || again != got {
			t.Errorf("%q is %+v, written as %q, read as %+v, %v", s, got, got.String(), again, err)
		}
		for _, part := range []string{got.Host, got.User} {
			if strings.HasPrefix(part, "-") || strings.ContainsAny(part, " \t\r\n\x00'\"\\;&|<>`$(){}*?!#~") {
				t.Errorf("%q gives %q, which a shell or ssh takes for something else", s, part)
			}
		}
		if got.Port < 0 || got.Port > 65535 {
			t.Errorf("%q gives the port %d", s, got.Port)
		}
	})
}
