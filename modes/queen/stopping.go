package queen

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

// writeWithin is how long writing down may take before the queen ends.
const writeWithin = 2 * time.Second

// mayEnd says what the queen's end would lose, since it could not be written down, as
// on a full disk. She stays rather than have another take her place so; where somebody
// wants no queen, he is told.
func (q *Queen) mayEnd(ctx context.Context, scope daemon.Scope) (warning string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
	defer cancel()
	q.writing.Lock()
	defer q.writing.Unlock()
	revoked, uncounted, why := q.access.Unwritten(ctx)
	unexplained, failed := q.saveExplanations(ctx, true)
	var lost []string
	again := ""
	if len(revoked) > 0 {
		lost = append(lost, "that "+strings.Join(revoked, ", ")+" was revoked, which the next queen takes as a key")
		again = "; revoke it again then"
	}
	if uncounted > 0 {
		lost = append(lost, "what "+requests(uncounted)+" used")
	}
	if unexplained > 0 {
		lost = append(lost, "what `rbee explain` tells of "+requests(int64(unexplained)))
	}
	if len(lost) == 0 {
		return "", nil
	}
	what, why := strings.Join(lost, "; "), cmp.Or(why, failed)
	if scope == daemon.ScopeAll {
		return "it could not be written down, and is lost unless there was room when she ended: " + what + ": " + why.Error() + again, nil
	}
	return "", ops.Errorf(ops.CodeConflict, "the queen that runs goes on, since it could not be written down, and would be lost: %s: %w", what, why).
		WithHint("make room on the disk of %s, then again; `rbee queen stop` ends the queen all the same", q.Home.State)
}

// requests is a number of them in words.
func requests(n int64) string {
	if n == 1 {
		return "1 request"
	}
	return fmt.Sprintf("%d requests", n)
}
