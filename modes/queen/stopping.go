package queen

import (
	"context"
	"strings"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

// writeWithin is how long writing down may take before the queen ends.
const writeWithin = 2 * time.Second

// mayEnd says what the queen's end would lose: keys that were revoked while nothing
// could be written down, which the next queen would take. She stays rather than
// have another take her place so; where somebody wants no queen, he is told.
func (q *Queen) mayEnd(ctx context.Context, scope daemon.Scope) (warning string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
	defer cancel()
	revoked, why := q.access.Unwritten(ctx)
	if len(revoked) == 0 {
		return "", nil
	}
	names := strings.Join(revoked, ", ")
	if scope == daemon.ScopeAll {
		return "it could not be written down that " + names + " was revoked, which the next queen takes as a key: " + why.Error() +
			"; revoke it again then", nil
	}
	return "", ops.Errorf(ops.CodeConflict, "the queen that runs goes on, since it could not be written down that %s was revoked, which the next one would take as a key: %w", names, why).
		WithHint("make room on the disk of %s, then again; `rbee queen stop` ends the queen all the same", q.Home.State)
}
