package daemon

import (
	"encoding/json"
	"slices"
	"strings"

	"rbee.dev/rbee/ops"
)

// LogLine is a line of a daemon's log.
type LogLine struct {
	Message, Error, Hint string
	Code                 ops.Code
}

// String is the line's text, without the dressing.
func (l LogLine) String() string {
	if l.Error == "" {
		return l.Message
	}
	return l.Message + ": " + l.Error
}

// LastLogged is what a daemon said last in its log at path.
func LastLogged(path string) LogLine {
	lines := strings.Split(Tail(path, 10), "\n")
	for _, line := range slices.Backward(lines) {
		var l LogLine
		if err := json.Unmarshal([]byte(line), &l); err == nil && l.Message != "" {
			return l
		}
	}
	if last := lines[len(lines)-1]; last != "" {
		return LogLine{Message: last}
	}
	return LogLine{Message: "it said nothing"}
}
