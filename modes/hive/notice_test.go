package hive_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

func TestAModelThatAPersonCopiesInOrDeletesIsToldOfAtOnce(t *testing.T) {
	h := start(t)
	has := func(id string) func(ops.HiveSnapshot) bool {
		return func(s ops.HiveSnapshot) bool {
			return slices.ContainsFunc(s.Models, func(m ops.Model) bool { return m.ID == id && m.Error == "" })
		}
	}
	await(t, h.Client, has(testdata.TinybeeName))
	folder := filepath.Join(h.home.Models(), "mine")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "mine.gguf"), testdata.Tinybee(), 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, h.Client, has("mine"))
	if err := os.Rename(folder, filepath.Join(h.home.Models(), "yours")); err != nil {
		t.Fatal(err)
	}
	await(t, h.Client, func(s ops.HiveSnapshot) bool { return has("yours")(s) && !has("mine")(s) })
	if err := os.RemoveAll(filepath.Join(h.home.Models(), "yours")); err != nil {
		t.Fatal(err)
	}
	await(t, h.Client, func(s ops.HiveSnapshot) bool { return !has("yours")(s) })
}

func TestAModelsFolderThatAPersonRemovesAndMakesAgainIsWatchedAgain(t *testing.T) {
	h := start(t)
	has := func(id string) func(ops.HiveSnapshot) bool {
		return func(s ops.HiveSnapshot) bool {
			return slices.ContainsFunc(s.Models, func(m ops.Model) bool { return m.ID == id && m.Error == "" })
		}
	}
	await(t, h.Client, has(testdata.TinybeeName))
	away := filepath.Join(t.TempDir(), "away")
	if err := os.Rename(h.home.Models(), away); err != nil {
		t.Fatal(err)
	}
	await(t, h.Client, func(s ops.HiveSnapshot) bool { return len(s.Models) == 0 })
	for _, id := range []string{"first", "second"} { // the second after the folder is known again
		folder := filepath.Join(h.home.Models(), id)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "a.gguf"), testdata.Tinybee(), 0o600); err != nil {
			t.Fatal(err)
		}
		await(t, h.Client, has(id))
	}
}
