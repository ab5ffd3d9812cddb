package hive

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"

	"rbee.dev/rbee/ops"
)

// obituary says why a worker ended that nobody asked to: by what it said of
// itself, how its process ended (nil for a clean exit or one that was not our
// child) and what its log says.
func obituary(w ops.Worker, status error) *ops.Error {
	words := lastWords(w.LogPath)
	how := "its process is gone"
	if status != nil {
		how = status.Error()
	}
	var e *ops.Error
	switch {
	case w.Error != "":
		e = ops.Errorf(words.code(), "worker %s failed: %s", w.ID, w.Error)
	case words.failed():
		e = ops.Errorf(words.code(), "worker %s ended (%s): %s", w.ID, how, words)
	case words.Level == "" && words.Message != "": // not rbee's: who knows what it means
		e = ops.Errorf(ops.CodeUnavailable, "worker %s ended: %s; the last line of its log: %s", w.ID, how, words)
	case words == (logLine{}) && exited(status): // it always says why, if there is room for that
		return ops.Errorf(ops.CodeUnavailable, "worker %s ended: %s, and nothing is in its log, as where the disk is full", w.ID, how).
			WithHint("see that there is room for it and the files beside it: %s", w.LogPath)
	default:
		e = ops.Errorf(ops.CodeUnavailable, "worker %s ended: %s", w.ID, how)
	}
	if words.Hint != "" && words.failed() {
		return e.WithHint("%s; its log was %s", words.Hint, w.LogPath)
	}
	if w.Error == "" && !words.failed() { // nothing says that the next one would fare no better
		return e.WithHint("%s; its log was %s", startsAnother, w.LogPath)
	}
	return e.WithHint("its log was %s", w.LogPath)
}

// exited reports whether a process ended by itself, and not well.
func exited(status error) bool {
	_, ok := errors.AsType[*exec.ExitError](status)
	return ok
}

// startsAnother is what to do where only this worker is to blame.
const startsAnother = "asking again starts another"

// ofNamed is why a worker that was asked for by name ended: asking for it again starts
// none.
func ofNamed(why error, model string) error {
	e := ops.AsError(why)
	rest, ok := strings.CutPrefix(e.Hint, startsAnother)
	if !ok {
		return why
	}
	return e.WithHint("`rbee infer --model %s` takes another worker, or starts one%s", model, rest)
}

// logLine is a line of a worker's log.
type logLine struct {
	Level, Message, Error, Code, Hint string
}

// cutShort stands for a SIGBUS: weights are mapped, and what was to be read of them is
// no longer in their file.
var cutShort = logLine{
	Level:   "fatal",
	Message: "a part of its model's file is gone: the file was cut short while it was used, or its disk cannot be read",
	Hint:    "`rbee model list` tells whether it is whole; put the whole file in its place, or delete the model and download it again",
}

// String is the line for a person.
func (l logLine) String() string {
	if l.Error == "" {
		return l.Message
	}
	return l.Message + ": " + l.Error
}

// failed reports whether the line tells of a failure.
func (l logLine) failed() bool { return l.Level == "error" || l.Level == "fatal" }

// code is the failure's code, if the line has one.
func (l logLine) code() ops.Code {
	switch code := ops.Code(l.Code); code {
	case ops.CodeInvalid, ops.CodeNotFound, ops.CodeConflict, ops.CodeUnsupported, ops.CodeInternal:
		return code
	}
	return ops.CodeUnavailable
}

// lastWords is the line of the log at path that tells most of why its process
// ended: the newest that tells of a failure, be it rbee's or the Go runtime's,
// else the newest. The zero line is that of an empty log.
func lastWords(path string) logLine {
	f, err := os.Open(path)
	if err != nil {
		return logLine{}
	}
	defer f.Close()
	const most = 64 << 10 // a panic's line comes before its stacks
	if info, err := f.Stat(); err == nil && info.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return logLine{}
		}
	}
	var last, failure logLine
	lines := bufio.NewScanner(io.LimitReader(f, most))
	lines.Buffer(nil, most)
	for lines.Scan() {
		line := readLine(lines.Text())
		if line.failed() {
			failure = line
		} else if said, ok := strings.CutPrefix(line.Message, "rbee: "); ok && failure.Message == "" { // main prints it, with a hint below
			failure = logLine{Level: "fatal", Message: said}
		}
		if line.Message != "" {
			last = line
		}
	}
	if failure.Message != "" {
		return failure
	}
	return last
}

// readLine reads one line. One that is not rbee's is a message as it is.
func readLine(text string) logLine {
	var l logLine
	if json.Unmarshal([]byte(text), &l) == nil && l.Message != "" {
		return l
	}
	if strings.HasPrefix(text, "[signal SIGBUS") { // the Go runtime's, below "fatal error: fault"
		return cutShort
	}
	l = logLine{Message: strings.TrimSpace(text)}
	for _, sign := range []string{"panic: ", "fatal error: ", "runtime: ", "SIG"} {
		if strings.HasPrefix(text, sign) {
			l.Level = "fatal"
		}
	}
	return l
}
