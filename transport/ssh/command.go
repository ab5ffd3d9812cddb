package ssh

import (
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"rbee.dev/rbee/ops"
)

// Command is something to run on the other machine, by /bin/sh, whatever the
// account's login shell is. Either Argv or Script is given.
type Command struct {
	// Argv is a program and its arguments. Nothing in them means anything to
	// a shell.
	Argv []string
	// Script is POSIX shell text. What varies belongs in Args.
	Script string
	// Args are the script's $1, $2 and so on, as they are.
	Args []string
	// Env are variables added to the environment.
	Env map[string]string
	// Stdin is what the command reads; nil is nothing. For [Conn.Run] only,
	// which waits for its end, or for a Read that waits when the command ends.
	Stdin io.Reader
}

// IsZero reports whether the command is empty.
func (c Command) IsZero() bool { return len(c.Argv) == 0 && c.Script == "" }

// maxCommand is how long the line sent to the server may be. Linux takes
// 128 KiB for one argument (MAX_ARG_STRLEN).
const maxCommand = 120 << 10

// line is what the login shell is given to run, and the marker after which
// output is the command's own.
//
// The login shell may be one that quotes unlike sh (fish, csh), so all that it
// sees between its quotes is free of quotes, backslashes of a meaning, "!" and
// newlines: the script travels with every other byte as an octal escape, for
// the printf of the sh that it starts. The exec leaves no login shell behind
// that could add output of its own.
func (c Command) line() (line, marker string, err error) {
	if c.IsZero() || (len(c.Argv) > 0 && c.Script != "") {
		return "", "", ops.Errorf(ops.CodeInternal, "run a command: either Argv or Script must be given")
	}
	marker = "rbee-" + rand.Text()
	text, err := c.script(marker)
	if err != nil {
		return "", "", err
	}
	line = `exec /bin/sh -c 'eval "$(printf %b "$1")"' rbee '` + escape(text) + `'`
	if len(line) > maxCommand {
		return "", "", ops.Errorf(ops.CodeInvalid, "the command is too long: %d bytes of at most %d", len(line), maxCommand).
			WithHint("send what is long over its standard input")
	}
	return line, marker, nil
}

// script is the whole text for sh. The marker's line on its standard output
// has the process id as well.
func (c Command) script(marker string) (string, error) {
	var b strings.Builder
	// In halves, so that a shell that only repeats the line does not pass.
	one, two := marker[:len(marker)/2], marker[len(marker)/2:]
	fmt.Fprintf(&b, "printf '%%s%%s %%s\\n' %s %s $$\nprintf '%%s%%s\\n' %s %s >&2\n", one, two, one, two)
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		if !variable(name) {
			return "", ops.Errorf(ops.CodeInvalid, "%q is no name for an environment variable", clip(name)).
				WithHint("use letters, digits and '_'")
		}
		fmt.Fprintf(&b, "export %s=%s\n", name, shellescape.Quote(c.Env[name]))
	}
	if len(c.Argv) > 0 {
		b.WriteString("exec " + shellescape.QuoteCommand(c.Argv) + "\n")
	} else {
		b.WriteString("set -- " + shellescape.QuoteCommand(c.Args) + "\n" + c.Script + "\n")
	}
	text := b.String()
	if strings.ContainsRune(text, 0) {
		return "", ops.Errorf(ops.CodeInvalid, "a command cannot hold a NUL byte").WithHint("remove it from the name or path")
	}
	return text, nil
}

func variable(name string) bool {
	for i, r := range name {
		if letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'; !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// escape writes s with the %b escapes of printf(1) for all but the bytes that
// are plain in every shell. An escape has three digits after the 0, and printf
// reads no more, so a digit may follow.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(" _./=:,-", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\0%03o`, c)
		}
	}
	return b.String()
}
