package schedule

import (
	"fmt"
	"strings"

	"rbee.dev/rbee/ops"
)

// Fault is whose fault it is that a worker has not done a request.
type Fault int

const (
	// OfRequest is of what would fail elsewhere, too.
	OfRequest Fault = iota
	// OfEngine is of what another worker may do. None is started for it, since it
	// may be the request.
	OfEngine
	// OfWorker is of what a worker has not done that has ended, or cannot be
	// reached: another may do it, and may be started for it.
	OfWorker
)

// FaultOf is whose fault an error is that came before anything of an answer did: the
// one rule of who is asked next, of the APIs and of jobs alike. What an engine's
// statuses mean, transport.EngineError says.
func FaultOf(err error) Fault {
	switch ops.CodeOf(err) {
	case ops.CodeUnavailable, ops.CodeNotFound: // of a worker, which is not there any more
		return OfWorker
	case ops.CodeInternal, ops.CodeBusy, ops.CodeUnsupported, ops.CodeTimeout:
		return OfEngine
	case ops.CodeInvalid, ops.CodeDenied, ops.CodeConflict, ops.CodeCancelled:
	}
	return OfRequest
}

// ByWorker is err, which came of a worker, with whose it is: unless the worker says
// so itself, or the request is what is wrong.
func ByWorker(err error, w *ops.Worker) *ops.Error {
	e := ops.AsError(err)
	if FaultOf(e) == OfRequest {
		return e
	}
	of := fmt.Sprintf("worker %s of %s, which runs %s: ", w.ID, w.HiveID, w.Model)
	if strings.HasPrefix(e.Message, of) {
		of = ""
	}
	named := ops.AsError(fmt.Errorf("%s%w", of, e))
	if e.Hint == "" && e.Code == ops.CodeInternal {
		return named.WithHint("where it goes on failing, `rbee worker delete %s%s` ends it", w.ID, ops.HiveFlag(w.HiveID))
	}
	return named.WithHint("%s", e.Hint)
}
