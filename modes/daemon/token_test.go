package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

func TestATokenIsMadeOnceAndForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	first, err := daemon.Token(path, "queen")
	if err != nil || len(first) < 20 {
		t.Fatalf("%q, %v", first, err)
	}
	if again, err := daemon.Token(path, "queen"); err != nil || again != first {
		t.Errorf("the second time: %q, %v", again, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestATokenFileOfAPersons(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"a token":            {"secret\r\n", "secret"},
		"with spaces":        {" my secret ", "my secret"},
		"two lines":          {"one\ntwo\n", ""},
		"control characters": {"\x01\x02abc\x00def", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := daemon.Token(path, "queen")
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Fatalf("%q, %v", got, err)
			}
			if err != nil && (!strings.Contains(err.Error(), path) || !strings.Contains(ops.AsError(err).Hint, "remove the file")) {
				t.Errorf("it says %v (%s)", err, ops.AsError(err).Hint)
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != tt.text {
				t.Errorf("the file holds %q now, %v", text, err)
			}
		})
	}
	for _, empty := range []string{"", " \n"} {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte(empty), 0o644); err != nil { //nolint:gosec // as somebody may have made it
			t.Fatal(err)
		}
		if made, err := daemon.Token(path, "queen"); err != nil || made == "" {
			t.Errorf("of an empty file: %q, %v", made, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("an empty file that others could read has the mode %v, %v", info.Mode(), err)
		}
	}
}
