package schedule

import (
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

// TestAWorkerOfAModelWhoseFileIsDamagedIsRefusedWithThat: one that has read it before
// goes on.
func TestAWorkerOfAModelWhoseFileIsDamagedIsRefusedWithThat(t *testing.T) {
	d := newDepot(t, Options{})
	t.Cleanup(d.Close)
	d.add("a", 8<<30, ops.Model{ID: "bee", Error: "the file ends in the middle", Hint: "download it again"})
	d.run("a", "w1", "bee", 1)
	_, err := d.Settle(t.Context(), Request{Model: "bee"})
	e := ops.AsError(err)
	if e == nil || e.Message != "bee cannot be used on a: the file ends in the middle" || e.Hint != "download it again" {
		t.Errorf("got %+v", e)
	}
	d.change("a", func(s *ops.HiveSnapshot) { s.Models = nil })
	if _, err := d.Settle(t.Context(), Request{Model: "bee"}); err == nil || !strings.Contains(err.Error(), "no hive has a file of bee") {
		t.Errorf("without any file: %v", err)
	}
}
