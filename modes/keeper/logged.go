package keeper

import (
	"encoding/json"
	"slices"
	"strings"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

// logLine is a line of a daemon's log.
type logLine struct {
	Message, Error, Hint string
	Code                 ops.Code
}

// logged reads a line of a daemon's log.
func logged(line string) (l logLine, ok bool) {
	err := json.Unmarshal([]byte(line), &l)
	return l, err == nil && l.Message != ""
}

// String is the line's text, without the dressing.
func (l logLine) String() string {
	if l.Error == "" {
		return l.Message
	}
	return l.Message + ": " + l.Error
}

// lastLogged is what a daemon said last in its log.
func lastLogged(log string) logLine {
	lines := strings.Split(daemon.Tail(log, 10), "\n")
	for _, line := range slices.Backward(lines) {
		if l, ok := logged(line); ok {
			return l
		}
	}
	if last := lines[len(lines)-1]; last != "" {
		return logLine{Message: last}
	}
	return logLine{Message: "it said nothing"}
}

// notStarted is the error of a daemon that ended while it started: what it said
// last, with its own hint where it had one.
func notStarted(log string) error {
	l := lastLogged(log)
	hint := "its log is " + log
	if l.Hint != "" {
		hint = l.Hint
	}
	if l.Code == ops.CodeInvalid {
		return ops.Errorf(ops.CodeInvalid, "%s", l).WithHint("%s", hint)
	}
	return unreachable("%s", l).WithHint("%s", hint)
}
