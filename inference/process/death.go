package process

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// Death is how a program ended that nobody had asked to, or why it was ended.
type Death struct {
	// Name is what the program is called.
	Name string
	// Status says how it ended, as "exit status 1"; "" where it was ended.
	Status string
	// Why says why it was ended; "" where it ended by itself.
	Why string
	// Lines are the last lines that it wrote, at most a hundred, the oldest
	// first.
	Lines []string
}

// Error says how the program ended, with those of its last lines that say most.
func (d *Death) Error() string {
	text := fmt.Sprintf("%s ended (%s)", d.Name, d.Status)
	if d.Why != "" {
		text = d.Name + " " + d.Why
	}
	if said := d.telling(); len(said) > 0 {
		text += "; its last lines: " + strings.Join(said, " | ")
	}
	return text
}

var (
	// complaint is what lines that tell of a failure have in them.
	complaint = regexp.MustCompile(`(?i)error|fail|abort|assert|exception|fatal|invalid|unsupported|out of memory|unable|mismatch|cannot|couldn't|killed`)
	// quiet is a line of llama-server's that is for information only: such have
	// names of files in them.
	quiet = regexp.MustCompile(`^\d+\.\d\d\.\d{3}\.\d{3} [ID] `)
	// grave is one that it calls an error, in whatever words.
	grave = regexp.MustCompile(`^\d+\.\d\d\.\d{3}\.\d{3} E `)
	// stamp is what programs put before what they say: llama-server's time
	// since its start and level, or a date and time.
	stamp = regexp.MustCompile(`^(\d+\.\d\d\.\d{3}\.\d{3} [A-Z] +|\d{4}-\d\d-\d\d[T ][\d:.,]+Z? +)`)
)

// telling picks, of the newest lines, those that tell of a failure, or else the
// newest two. Of what somebody else has ended, these would tell nothing.
func (d *Death) telling() []string {
	const most, fewest = 6, 2
	var said []string
	for _, line := range slices.Backward(d.Lines) {
		calm, bad := quiet.MatchString(line), grave.MatchString(line)
		line = Clip(stamp.ReplaceAllString(line, ""))
		if !calm && len(said) < most && (bad || complaint.MatchString(line)) && !slices.Contains(said, line) {
			said = append(said, line)
		}
	}
	if len(said) == 0 && !strings.HasPrefix(d.Status, signalled) {
		for _, line := range slices.Backward(d.Lines[max(0, len(d.Lines)-fewest):]) {
			said = append(said, Clip(stamp.ReplaceAllString(line, "")))
		}
	}
	slices.Reverse(said)
	return said
}

// Clip shortens a line that is longer than a person reads.
func Clip(line string) string {
	const most = 240
	if runes := []rune(line); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return line
}

// signalled is how the status of a process begins that a signal has ended.
const signalled = "signal "

// status says in words how a process ended, by what Wait returned.
func status(err error) string {
	if err == nil {
		return "exit status 0"
	}
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		if w, ok := e.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			return fmt.Sprintf(signalled+"%d, %s", w.Signal(), w.Signal())
		}
	}
	return err.Error()
}
