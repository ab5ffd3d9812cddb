package modes_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/transport/ssh/sshtest"
)

const (
	thePassword   = "wr0ng-horse-battery"
	thePassphrase = "only I know this phrase"
)

// newLocked is a machine that lets in who knows the password, and who has a key
// with a passphrase, which the person has.
func newLocked(t *testing.T, o sshtest.Options) *far {
	t.Helper()
	keys := sshtest.Home(t)
	o.AuthorizedKeys = append(o.AuthorizedKeys, sshtest.WriteKey(t, keys, "id_ed25519", thePassphrase))
	f := newFar(t, o)
	mine := filepath.Join(f.mine, ".ssh", "id_ed25519")
	if o.Password != "" {
		if err := os.Remove(mine); err != nil {
			t.Fatal(err)
		}
		return f
	}
	locked, err := os.ReadFile(filepath.Join(keys, ".ssh", "id_ed25519"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mine, locked, 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// keepsNoSecret looks for secrets in every file of rbee's.
func (f *far) keepsNoSecret(secrets ...string) {
	f.t.Helper()
	looked := 0
	for _, root := range []string{f.home, f.account} { // the queen's own key is hers to keep
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || strings.HasSuffix(path, ".gguf") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			looked++
			for _, secret := range append(secrets, "PRIVATE KEY") {
				if bytes.Contains(text, []byte(secret)) && !bytes.HasPrefix(text, []byte("\x7fELF")) && filepath.Base(path) != "queen.key" {
					f.t.Errorf("%s holds %q", path, secret)
				}
			}
			return nil
		})
		if err != nil {
			f.t.Fatal(err)
		}
	}
	if looked < 5 {
		f.t.Errorf("looked into %d files only", looked)
	}
}

func TestAPersonIsAskedForWhatALoginNeeds(t *testing.T) {
	t.Parallel() // it waits
	for _, tt := range []struct {
		name      string
		server    sshtest.Options
		flags     []string
		questions [][2]string // and answers
		secret    string
	}{
		{
			"a passphrase",
			sshtest.Options{},
			nil,
			[][2]string{{"Trust this key", "y"}, {"Passphrase for ", thePassphrase}, {"Add the queen's own key", "n"}},
			thePassphrase,
		},
		{
			"a password",
			sshtest.Options{Password: thePassword},
			[]string{"--ask-password"},
			[][2]string{{"Trust this key", "yes"}, {"Password for ", thePassword}, {"Add the queen's own key", ""}},
			thePassword,
		},
		{
			"a password, interactively",
			sshtest.Options{Password: thePassword, Interactive: true},
			[]string{"--ask-password", "--accept-new-host-key"},
			[][2]string{{"Password for ", thePassword}, {"Add the queen's own key", "n"}},
			thePassword,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newLocked(t, tt.server)
			cmd := f.command(append([]string{"hive", "install", "--host", f.host, "--name", "gpu1"}, tt.flags...)...)
			s := sit(t, cmd)
			for _, q := range tt.questions {
				s.answer(q[0], q[1])
			}
			text, code := s.end(cmd)
			if code != 0 || strings.Contains(text, tt.secret) {
				t.Errorf("code %d: %s", code, text)
			}
			f.rbee("infer", "--hive", "gpu1", "-n", "3", "Once") // over the same connection
			f.keepsNoSecret(tt.secret)
			f.rbee("hive", "uninstall", "gpu1")
			if left := f.files(); len(left) != 0 {
				t.Errorf("left over there: %q", left)
			}
		})
	}
}

func TestWrongAnswersAreOneErrorAndChangeNothing(t *testing.T) {
	t.Parallel() // it waits
	for _, tt := range []struct {
		name      string
		server    sshtest.Options
		questions [][2]string
		says      string
	}{
		{"no trust", sshtest.Options{}, [][2]string{{"Trust this key", "n"}}, "--accept-new-host-key"},
		{"a wrong passphrase", sshtest.Options{}, [][2]string{{"Trust this key", "y"}, {"Passphrase for ", "not this"}, {"is wrong", ""}}, "ssh-add"},
		{"a wrong password", sshtest.Options{Password: thePassword}, [][2]string{{"Trust this key", "y"}, {"Password for ", "not this"}, {"refused the password", ""}}, "ssh-copy-id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newLocked(t, tt.server)
			cmd := f.command("hive", "install", "--host", f.host, "--name", "gpu1", "--ask-password")
			s := sit(t, cmd)
			for _, q := range tt.questions {
				s.answer(q[0], q[1])
			}
			text, code := s.end(cmd)
			if code != 1 || !strings.Contains(text, tt.says) {
				t.Errorf("code %d: %s", code, text)
			}
			f.keepsNoSecret("not this", thePassword, thePassphrase)
			if left := f.files(); len(left) != 0 {
				t.Errorf("left over there: %q", left)
			}
		})
	}
}

func TestWithoutATerminalNobodyIsAsked(t *testing.T) {
	t.Parallel() // it waits
	f := newLocked(t, sshtest.Options{})
	f.trust()
	code, said := f.refused("hive", "test", "--host", f.host)
	if code != 1 || !strings.Contains(said, "passphrase") {
		t.Errorf("code %d: %s", code, said)
	}
}
