package queen

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/ops"
)

func TestWhatAHiveSaidLastSurvivesARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c", "queen.db")
	if _, err := openStore(t.Context(), path); err == nil {
		t.Fatal("a database in a folder that is not there was opened")
	}
	path = filepath.Join(t.TempDir(), "queen?x=1&b.db")
	s, err := openStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if snapshot, seen, err := s.Hive(t.Context(), "gpu1"); err != nil || !seen.IsZero() || snapshot.Hive.ID != "gpu1" {
		t.Errorf("a hive that never spoke: %+v, %v, %v", snapshot, seen, err)
	}
	want := ops.HiveSnapshot{Hive: ops.Hive{ID: "gpu1", Version: "1"}, Models: []ops.Model{{ID: "m"}}}
	now := time.UnixMilli(time.Now().UnixMilli()).UTC()
	for _, version := range []string{"0", "1"} { // the newer replaces the older
		want.Hive.Version = version
		if err := s.SaveHive(t.Context(), "gpu1", want, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = openStore(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, seen, err := s.Hive(t.Context(), "gpu1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || !seen.Equal(now) {
		t.Errorf("seen %v, want %v; %s", seen, now, diff)
	}
}

func TestWhatAHiveSaysAtTheVeryEndIsRemembered(t *testing.T) {
	o := options(t, "127.0.0.1:0")
	q, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.books.load(t.Context(), q.store, nil); err != nil {
		t.Fatal(err)
	}
	q.books.heard(ops.LocalHive, ops.HiveSnapshot{Hive: ops.Hive{Version: "at the end"}}, time.Now()) // and nothing saves any more
	end(t, q)
	if q, err = New(o); err != nil {
		t.Fatal(err)
	}
	defer end(t, q)
	if got, seen, err := q.store.Hive(t.Context(), ops.LocalHive); err != nil || got.Hive.Version != "at the end" || seen.IsZero() {
		t.Errorf("it remembers %+v of %v, %v", got, seen, err)
	}
}

func TestADatabaseOfANewerRbeeIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queen.db")
	s, err := openStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.ExecContext(t.Context(), "PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(t.Context(), path); err == nil || !strings.Contains(err.Error(), "newer rbee") {
		t.Errorf("got %v", err)
	}
}

func TestADatabaseThatCannotBeUsedIsToldWithWhatToDo(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "queen.db")
	s, err := openStore(t.Context(), whole)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		text []byte
		hint string
	}{
		"cut short":     {text[:3000], ".recover"},
		"another file":  {bytes.Repeat([]byte("not a database\n"), 500), ".recover"},
		"zeroed inside": {slices.Concat(text[:100], make([]byte, 4000), text[4100:]), ".recover"},
		"a folder":      {nil, "must be writable"},
	} {
		path := filepath.Join(t.TempDir(), "queen.db")
		if tt.text == nil {
			err = os.Mkdir(path, 0o700)
		} else {
			err = os.WriteFile(path, tt.text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		s, err := openStore(t.Context(), path)
		if err == nil {
			_ = s.Close()
		}
		if e := ops.AsError(err); err == nil || !strings.Contains(e.Hint, tt.hint) || !strings.Contains(e.Message, path) {
			t.Errorf("%s: %v (%+v)", name, err, e)
		}
		if after, err := os.ReadFile(path); tt.text != nil && (err != nil || !bytes.Equal(after, tt.text)) {
			t.Errorf("%s: the file was changed (%v)", name, err)
		}
	}
}

func TestWhatWasKeptByTheHourIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queen.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, file := range []string{"001_hives", "002_remote", "003_keys", "004_aliases", "005_drained", "006_rates"} {
		text, err := migrations.ReadFile("migrations/" + file + ".sql")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), string(text)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.ExecContext(t.Context(), "INSERT INTO usage VALUES (2, 'k', 'bee', 3, 4, 5, 6, 7, 8); PRAGMA user_version = 6"); err != nil {
		t.Fatal(err)
	}
	s, err := openStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var minute, requests, millis int
	if err := s.db.QueryRowContext(t.Context(), "SELECT minute, requests, millis FROM usage").Scan(&minute, &requests, &millis); err != nil || minute != 120 || requests != 3 || millis != 8 {
		t.Errorf("minute %d: %d requests, %d ms, %v", minute, requests, millis, err)
	}
}
