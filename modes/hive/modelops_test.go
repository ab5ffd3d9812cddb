package hive_test

import (
	"os"
	"path/filepath"
	"testing"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

func TestAFileThatLiesLooseIsNotDeletedAsAModel(t *testing.T) {
	h := start(t)
	if err := os.WriteFile(filepath.Join(h.home.Models(), "loose.gguf"), testdata.Tinybee(), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, h.Client, ops.ModelDelete{ID: "loose.gguf"}, ops.CodeConflict, "loose.gguf is no model, and stays: it lies loose", "move the file there")
}
