package keeper

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// lines reads what a person types, a line at a time, with editing and history
// where that is at a terminal.
type lines struct {
	out     io.Writer
	editor  *term.Terminal
	fd      int
	scanner *bufio.Scanner
}

// lines reads standard input.
func (k *Keeper) lines() *lines {
	in, isFile := k.Stdin.(*os.File)
	out, toFile := k.Stdout.(*os.File)
	if isFile && toFile && term.IsTerminal(int(in.Fd())) && term.IsTerminal(int(out.Fd())) {
		screen := struct {
			io.Reader
			io.Writer
		}{in, out}
		return &lines{out: out, editor: term.NewTerminal(screen, "> "), fd: int(in.Fd())}
	}
	if k.Stdin == nil {
		return &lines{out: k.Stdout, scanner: bufio.NewScanner(strings.NewReader(""))}
	}
	scanner := bufio.NewScanner(k.Stdin)
	scanner.Buffer(nil, 8<<20)
	return &lines{out: k.Stdout, scanner: scanner}
}

// terminal reports whether a person is there.
func (l *lines) terminal() bool { return l.editor != nil }

// Next returns the next line, or io.EOF. The terminal is raw only meanwhile, so
// that Ctrl-C is a signal while an answer comes.
func (l *lines) Next() (line string, err error) {
	if l.editor == nil {
		if l.scanner.Scan() {
			return l.scanner.Text(), nil
		}
		if err := l.scanner.Err(); err != nil {
			return "", err
		}
		return "", io.EOF
	}
	before, err := term.MakeRaw(l.fd)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, term.Restore(l.fd, before)) }()
	if width, height, err := term.GetSize(l.fd); err == nil && width > 0 { // 0 is what nobody has set
		_ = l.editor.SetSize(width, height) // which fails only for widths that no terminal has
	}
	return l.editor.ReadLine()
}

// Write prints an answer.
func (l *lines) Write(p []byte) (int, error) { return l.out.Write(p) }
