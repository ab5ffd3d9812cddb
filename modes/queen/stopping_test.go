package queen

import (
	"strings"
	"testing"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

// TestARevocationThatCannotBeWrittenDownIsNotLostInSilence: no other queen takes this
// one's place so, and who ends her is told.
func TestARevocationThatCannotBeWrittenDownIsNotLostInSilence(t *testing.T) {
	q, _ := remembering(t, nil)
	q.Home.State = "/state"
	if _, err := q.access.Create(t.Context(), ops.KeyCreate{Label: "pre", Digest: ops.KeyDigest(ops.NewKeySecret())}); err != nil {
		t.Fatal(err)
	}
	if told, err := q.mayEnd(t.Context(), daemon.ScopeSelf); told != "" || err != nil {
		t.Fatalf("where nothing is lost: %q, %v", told, err)
	}
	rename := func(from, to string) {
		if _, err := q.store.db.ExecContext(t.Context(), "ALTER TABLE "+from+" RENAME TO "+to); err != nil {
			t.Fatal(err)
		}
	}
	rename("keys", "elsewhere")
	if _, err := q.access.Revoke(t.Context(), ops.KeyRevoke{ID: "pre"}); err != nil {
		t.Fatal(err)
	}
	_, err := q.mayEnd(t.Context(), daemon.ScopeSelf)
	if ops.CodeOf(err) != ops.CodeConflict || !strings.Contains(err.Error(), "(pre) was revoked") || !strings.Contains(err.Error(), "no such table") ||
		!strings.Contains(ops.AsError(err).Hint, "make room on the disk of /state") {
		t.Errorf("a restart: %v", err)
	}
	if told, err := q.mayEnd(t.Context(), daemon.ScopeAll); err != nil || !strings.Contains(told, "(pre) was revoked") || !strings.Contains(told, "revoke it again") {
		t.Errorf("a stop: %q, %v", told, err)
	}
	rename("elsewhere", "keys")
	if told, err := q.mayEnd(t.Context(), daemon.ScopeSelf); told != "" || err != nil {
		t.Errorf("once it could be: %q, %v", told, err)
	}
}

// TestWhatRequestsUsedIsNotLostInSilence: nor why they went where they did, and once
// it can be written down it is.
func TestWhatRequestsUsedIsNotLostInSilence(t *testing.T) {
	q, _ := remembering(t, nil)
	sink := &noted{}
	if _, err := q.doNamed(ops.WithSink(t.Context(), sink), ops.Infer{Model: "hf:bees/none", Prompt: "Once"}); err == nil {
		t.Fatal("a model that is nowhere answers")
	}
	change := func(statement string) {
		if _, err := q.store.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	change("PRAGMA query_only = on")
	q.save(t.Context(), false) // tries, and keeps it
	const lost = "what 1 request used; what `rbee explain` tells of 1 request: "
	_, err := q.mayEnd(t.Context(), daemon.ScopeSelf)
	if ops.CodeOf(err) != ops.CodeConflict || !strings.Contains(err.Error(), lost) || !strings.Contains(err.Error(), "readonly") {
		t.Errorf("a restart: %v", err)
	}
	if told, err := q.mayEnd(t.Context(), daemon.ScopeAll); err != nil || !strings.Contains(told, lost) || strings.Contains(told, "revoke") {
		t.Errorf("a stop: %q, %v", told, err)
	}
	change("PRAGMA query_only = off")
	if told, err := q.mayEnd(t.Context(), daemon.ScopeSelf); told != "" || err != nil {
		t.Errorf("once it could be: %q, %v", told, err)
	}
	if _, ok, err := q.store.Explanation(t.Context(), sink.JobID()); err != nil || !ok {
		t.Errorf("why it went nowhere is written down: %t, %v", ok, err)
	}
	if report, err := q.access.Usage(t.Context(), ops.Usage{}); err != nil || report.Total.Requests != 1 {
		t.Errorf("what it used: %+v, %v", report.Total, err)
	}
}
