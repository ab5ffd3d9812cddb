package daemon

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strings"

	"rbee.dev/rbee/ops"
)

// LogLine is what a daemon said in its log.
type LogLine struct {
	Message, Error, Hint string
	Code                 ops.Code
}

// String is the text, without the dressing.
func (l LogLine) String() string {
	if l.Error == "" {
		return l.Message
	}
	return l.Message + ": " + l.Error
}

// Said is why a child that has ended did, by its log: what others wrote there
// before it does not count. It may be asked once Done is closed.
func (c *Child) Said() LogLine {
	l := reason(strings.Split(tail(c.log, c.from, 20), "\n"))
	if e, ok := errors.AsType[*exec.ExitError](c.err); ok && l.Code == "" && e.ExitCode() == ops.CodeInvalid.ExitCode() {
		l.Code = ops.CodeInvalid
	}
	return l
}

// reason finds in a log's lines why its daemon ended: the last error that it
// logged, else what it told as a command does, else the last that there is.
func reason(lines []string) LogLine {
	last := LogLine{Message: "it said nothing"}
	var failed, told LogLine
	for i, line := range lines {
		l := struct {
			LogLine
			Level string
		}{}
		message, plain := strings.CutPrefix(line, "rbee: ")
		switch {
		case json.Unmarshal([]byte(line), &l) == nil && l.Message != "":
			if last = l.LogLine; l.Level == "error" {
				failed = l.LogLine
			}
		case plain:
			told = LogLine{Message: message, Hint: strings.TrimSpace(strings.Join(lines[i+1:], "\n"))}
		case line != "" && told.Message == "":
			last = LogLine{Message: line}
		}
	}
	for _, l := range []LogLine{failed, told} {
		if l.Message != "" {
			return l
		}
	}
	return last
}
