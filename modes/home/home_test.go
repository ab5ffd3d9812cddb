package home_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
)

func TestFindFollowsTheEnvironment(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  map[string]string
		want home.Home
	}{
		{
			"RBEE_HOME wins",
			map[string]string{"RBEE_HOME": "/r", "HOME": "/h", "XDG_STATE_HOME": "/s"},
			home.Home{Config: "/r/config", State: "/r/state", Cache: "/r/cache"},
		},
		{
			"XDG variables",
			map[string]string{"HOME": "/h", "XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "/c", "XDG_CONFIG_HOME": "/e"},
			home.Home{Config: "/e/rbee", State: "/s/rbee", Cache: "/c/rbee"},
		},
		{
			"a relative XDG variable is ignored",
			map[string]string{"HOME": "/h", "XDG_STATE_HOME": "s"},
			home.Home{Config: "/h/.config/rbee", State: "/h/.local/state/rbee", Cache: "/h/.cache/rbee"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := home.Find(func(k string) string { return tt.env[k] })
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestFindWithoutAnyHomeSaysWhatToSet(t *testing.T) {
	_, err := home.Find(func(string) string { return "" })
	if ops.CodeOf(err) != ops.CodeInvalid || !strings.Contains(ops.AsError(err).Hint, "RBEE_HOME") {
		t.Errorf("got %v, want an invalid that names RBEE_HOME", err)
	}
	_, err = home.Find(func(k string) string { return map[string]string{"HOME": "rel"}[k] })
	if ops.CodeOf(err) != ops.CodeInvalid || !strings.Contains(err.Error(), "rel") || !strings.Contains(ops.AsError(err).Hint, "HOME") {
		t.Errorf("of a relative HOME: %v", err)
	}
}

// TestWhatCannotBeAFolderIsRefused: before anything is made, and for whichever mode.
func TestWhatCannotBeAFolderIsRefused(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "half"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "half", "cache"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{
		"/" + strings.Repeat("a/", 300):   "bytes where 480 are the most",
		"/" + strings.Repeat("a", 256):    "256 bytes where 255 are the most",
		file:                              "a file is there",
		filepath.Join(file, "below"):      "a file is there",
		filepath.Join(root, "half"):       "half/cache: a file is there",
		filepath.Join(root, "not", "yet"): "",
		"/" + strings.Repeat("a", 255):    "",
	} {
		_, err := home.Find(func(k string) string { return map[string]string{"RBEE_HOME": at}[k] })
		e := ops.AsError(err)
		if want == "" && err != nil || want != "" && (e == nil || e.Code != ops.CodeInvalid || !strings.Contains(e.Message, want) || !strings.Contains(e.Hint, "RBEE_HOME")) {
			t.Errorf("%.40s: %v, want %q", at, err, want)
		}
	}
}

func TestCreateClosesTheStateToOthers(t *testing.T) {
	root := t.TempDir()
	h := home.Home{Config: filepath.Join(root, "config"), State: filepath.Join(root, "state"), Cache: filepath.Join(root, "cache")}
	if err := os.Mkdir(h.State, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := h.Create(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{h.State, h.Logs(), h.Workers(), h.Models(), h.Binaries()} {
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if perm := info.Mode().Perm(); perm&0o077 != 0 {
			t.Errorf("%s is open to others: %v", dir, perm)
		}
	}
}

func TestAFolderThatCannotBeMadeIsToldWithWhatHelps(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "cache"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := home.Home{Config: root, State: filepath.Join(root, "state"), Cache: filepath.Join(root, "cache")}.Create()
	if e := ops.AsError(err); err == nil || !strings.Contains(e.Message, filepath.Join(root, "cache")) || !strings.Contains(e.Hint, "RBEE_HOME") {
		t.Errorf("got %v (%+v)", err, e)
	}
}

func TestAPathThatIsTooLongIsRefusedAndNothingIsMade(t *testing.T) {
	root := filepath.Join(t.TempDir(), "home")
	for _, env := range []map[string]string{
		{"RBEE_HOME": filepath.Join(root, strings.Repeat("a/", 300))},
		{"HOME": root, "XDG_CACHE_HOME": filepath.Join(root, strings.Repeat("a/", 300))},
	} {
		_, err := home.Find(func(name string) string { return env[name] })
		if ops.CodeOf(err) != ops.CodeInvalid || !strings.Contains(err.Error(), "too long") || len(err.Error()) > 200 {
			t.Errorf("%v: %v", env, err)
		}
	}
	if _, err := os.Stat(root); err == nil {
		t.Error("a folder was made")
	}
}
