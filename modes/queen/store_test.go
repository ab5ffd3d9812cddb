package queen

import (
	"path/filepath"
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
