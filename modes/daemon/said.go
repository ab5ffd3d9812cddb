package daemon

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"

	"rbee.dev/rbee/modes/home"
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
// before it does not count. Where it tells nothing of that, and no more can be written
// there, as on a full disk, that is why. It may be asked once Done is closed.
func (c *Child) Said() LogLine {
	l, sure := reason(strings.Split(tail(c.log, c.from, 20), "\n"))
	if err := endLine(c.log); err != nil && !sure {
		l = LogLine{Message: err.Error(), Hint: home.Elsewhere}
	}
	if e, ok := errors.AsType[*exec.ExitError](c.err); ok && l.Code == "" && e.ExitCode() == ops.CodeInvalid.ExitCode() {
		l.Code = ops.CodeInvalid
	}
	return l
}

// endLine ends the last line of the log at path, which may have been cut, and tells
// whether that is possible.
func endLine(path string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("\n")
	return errors.Join(err, f.Close())
}

// reason finds in a log's lines why its daemon ended: the last error that it
// logged, else what it told as a command does. Else it is not sure, and returns the
// last that there is, but for a line that was cut.
func reason(lines []string) (l LogLine, sure bool) {
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
		case line != "" && told.Message == "" && !strings.HasPrefix(line, "{"):
			last = LogLine{Message: line}
		}
	}
	for _, l := range []LogLine{failed, told} {
		if l.Message != "" {
			return l, true
		}
	}
	return last, false
}
