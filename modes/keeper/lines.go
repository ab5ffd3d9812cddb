package keeper

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// errInterrupted is what Next returns where the person gave a line up by Ctrl-C.
var errInterrupted = errors.New("interrupted")

// ctrlC is what a raw terminal gives for Ctrl-C.
const ctrlC = 3

// lines reads what a person types, a line at a time, with editing and history
// where that is at a terminal.
type lines struct {
	out     io.Writer
	screen  *screen
	editor  *term.Terminal
	fd      int
	scanner *bufio.Scanner
}

// screen is the terminal that lines are edited on. The editor says the same of
// Ctrl-C as of Ctrl-D, and not where in a line a paste began; screen knows.
type screen struct {
	io.Writer
	keys       *bufio.Reader
	interrupts int    // Ctrl-C in what was read since the editor was made
	typed      bool   // there was something else too, since the last line
	pasting    bool   // what was read last is in a paste
	tail       []byte // of what was read, in which a mark of a paste may begin
}

// The marks that a terminal puts around a paste (xterm's control sequences,
// "Bracketed Paste Mode").
var pasteBegins, pasteEnds = []byte("\x1b[200~"), []byte("\x1b[201~")

// Read reads keys, to the end of a line at most. A byte that no character is of comes
// as a question mark: the editor would wait for more keys there.
func (s *screen) Read(p []byte) (int, error) {
	for n := 1; ; n++ {
		begun, err := s.keys.Peek(n)
		if len(begun) == 0 {
			return 0, err
		}
		if err != nil || utf8.FullRune(begun) {
			break
		}
	}
	read, _ := s.keys.Peek(min(s.keys.Buffered(), len(p))) // which are there
	read = whole(read)
	if end := bytes.IndexAny(read, "\r\n") + 1; end > 0 {
		if bytes.HasPrefix(read[end-1:], []byte("\r\n")) {
			end++
		}
		read = read[:end]
	}
	n := copy(p, bytes.Map(known, read))
	s.saw(p[:n])
	_, err := s.keys.Discard(len(read))
	return n, err
}

// known is r, or a question mark for a byte that no character is of.
func known(r rune) rune {
	if r == utf8.RuneError {
		return '?'
	}
	return r
}

// whole is text without the character at its end whose other bytes are still to come,
// where it is not all there is.
func whole(text []byte) []byte {
	for at := len(text) - 1; at > 0 && at > len(text)-utf8.UTFMax; at-- {
		if !utf8.RuneStart(text[at]) {
			continue
		}
		if !utf8.FullRune(text[at:]) {
			return text[:at]
		}
		break
	}
	return text
}

// saw looks at what was read.
func (s *screen) saw(keys []byte) {
	interrupts := bytes.Count(keys, []byte{ctrlC})
	s.interrupts += interrupts
	s.typed = s.typed || len(keys) > interrupts
	s.tail = append(s.tail, keys...)
	if begins, ends := bytes.LastIndex(s.tail, pasteBegins), bytes.LastIndex(s.tail, pasteEnds); begins != ends {
		s.pasting = begins > ends
	}
	s.tail = s.tail[max(0, len(s.tail)-len(pasteEnds)+1):]
}

// lines reads standard input.
func (k *Keeper) lines() *lines {
	in, isFile := k.Stdin.(*os.File)
	out, toFile := k.Stdout.(*os.File)
	if isFile && toFile && term.IsTerminal(int(in.Fd())) && term.IsTerminal(int(out.Fd())) {
		s := &screen{Writer: out, keys: bufio.NewReader(in)}
		l := &lines{out: out, screen: s, editor: term.NewTerminal(s, prompt), fd: int(in.Fd())}
		l.editor.SetBracketedPasteMode(true)
		return l
	}
	if k.Stdin == nil {
		return &lines{out: k.Stdout, scanner: bufio.NewScanner(strings.NewReader(""))}
	}
	scanner := bufio.NewScanner(k.Stdin)
	scanner.Buffer(nil, 8<<20)
	return &lines{out: k.Stdout, scanner: scanner}
}

// prompt is what a line is typed after.
const prompt = "> "

// terminal reports whether a person is there.
func (l *lines) terminal() bool { return l.editor != nil }

// Close leaves the terminal as it was.
func (l *lines) Close() {
	if l.editor != nil {
		l.editor.SetBracketedPasteMode(false)
	}
}

// Next returns the next line, or what was pasted up to the Enter that a person
// presses, or io.EOF, or errInterrupted for a line that was
// given up, which was empty if line is; at a terminal, the cause of ctx when that
// ends. The terminal is raw only meanwhile, so that Ctrl-C is a signal while an
// answer comes.
func (l *lines) Next(ctx context.Context) (line string, err error) {
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
	if width, height, err := term.GetSize(l.fd); err == nil && width > 0 { // 0 is what nobody has set
		_ = l.editor.SetSize(width, height) // which fails only for widths that no terminal has
	}
	l.screen.typed = false
	line, err = unlessOver(ctx, l.edit)
	restored := term.Restore(l.fd, before)
	if err != nil {
		_, _ = io.WriteString(l.out, "\n") // the prompt's line is over
	}
	if ctx.Err() == nil && errors.Is(err, io.EOF) && l.screen.interrupts > 0 {
		return l.anew(), errors.Join(errInterrupted, restored)
	}
	return line, errors.Join(err, restored)
}

// edit has a line edited; all lines of a paste are part of it.
func (l *lines) edit() (string, error) {
	var given []string
	for {
		line, err := l.editor.ReadLine()
		if errors.Is(err, term.ErrPasteIndicator) {
			err = nil
		}
		given = append(given, line)
		if err != nil || !l.screen.pasting {
			return strings.TrimRight(strings.Join(given, "\n"), "\n"), err
		}
	}
}

// anew forgets what stands on the line, and returns "" if that was nothing.
func (l *lines) anew() (given string) {
	if l.screen.typed {
		given = "given up"
	}
	history := l.editor.History
	l.screen.interrupts = 0
	l.editor = term.NewTerminal(l.screen, prompt)
	l.editor.History = history
	return given
}

// Write prints an answer.
func (l *lines) Write(p []byte) (int, error) { return l.out.Write(p) }
