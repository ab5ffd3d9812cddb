package modes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"rbee.dev/rbee/ops"
)

// usageError is a command line that cannot be understood.
type usageError struct{ error }

// Error is what is wrong, in words for a person.
func (u usageError) Error() string {
	said := u.error.Error()
	if p, ok := errors.AsType[*kong.ParseError](u.error); ok && strings.HasPrefix(said, "expected one of ") {
		return "a command must follow: " + strings.Join(commandsBelow(p.Context), ", ")
	}
	return plainly(said)
}

// commandsBelow are the words that may follow those that were given.
func commandsBelow(parsed *kong.Context) (words []string) {
	node := parsed.Selected()
	if node == nil {
		node = parsed.Model.Node
	}
	for _, c := range node.Children {
		if !c.Hidden {
			words = append(words, c.Name)
		}
	}
	return words
}

// Unwrap makes it an invalid operation, for its exit code and hint.
func (u usageError) Unwrap() error {
	e := ops.Errorf(ops.CodeInvalid, "%w", u.error)
	if p, ok := errors.AsType[*kong.ParseError](u.error); ok && p.Context.Selected() != nil {
		return e.WithHint("`rbee %s --help` shows how it is used", p.Context.Selected().Path())
	}
	return e.WithHint("`rbee --help` shows the commands, `rbee COMMAND --help` a command's flags")
}

// misused is the error of a command line that does not fit: kong's own, or what
// the operation that it stands for says of its fields.
func misused(err error) error {
	if written, ok := errors.AsType[*fs.PathError](err); ok && written.Path == os.Stdout.Name() {
		return written // of the help that was asked for
	}
	p, ok := errors.AsType[*kong.ParseError](err)
	if e, invalid := errors.AsType[*ops.Error](err); ok && invalid {
		return asFlag(p.Context, e)
	}
	return usageError{err}
}

// asFlag names the flag that a person would set, where err names the field of an
// operation that it stands for.
func asFlag(parsed *kong.Context, err error) error {
	e := ops.AsError(err)
	if e == nil || e.Field == "" || parsed.Selected() == nil {
		return err
	}
	flags, field := slices.Concat(parsed.Selected().Flags, parsed.Model.Flags), strings.ReplaceAll(e.Field, "_", "-")
	at := slices.IndexFunc(flags, func(f *kong.Flag) bool {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return name == e.Field || name == "" && f.Name == field
	})
	if at < 0 {
		at = slices.IndexFunc(flags, func(f *kong.Flag) bool { return f.Name+"s" == field }) // given once for each
	}
	named := *e
	switch given := asArgument(parsed.Selected(), e); {
	case given != "": // also where a flag of every command has its name
		named.Field = given
	case at >= 0:
		named.Field = "--" + flags[at].Name
		named.Message += fromVariable(flags[at])
	default:
		return err
	}
	if named.Hint == "" && named.Code == ops.CodeInvalid {
		named.Hint = "`rbee " + parsed.Selected().Path() + " --help` shows how it is used"
	}
	return &named
}

// fromVariable says which variable a flag's value comes from, if it does.
func fromVariable(f *kong.Flag) string {
	value := f.Target.Interface()
	if list, ok := value.([]string); ok {
		value = strings.Join(list, ",")
	}
	for _, name := range f.Envs {
		if text := os.Getenv(name); text != "" && fmt.Sprint(value) == text {
			return " (from the variable " + name + ")"
		}
	}
	return ""
}

// asArgument is what --help calls the argument that stands for the field of e, or "".
func asArgument(command *kong.Node, e *ops.Error) string {
	for _, a := range command.Positional {
		name, _, _ := strings.Cut(a.Tag.Get("json"), ",")
		if name == e.Field || name == "" && a.Name == e.Field {
			return "<" + a.Name + ">"
		}
	}
	return ""
}

// wordings are what the parser of command lines says of a value, and what a person
// is told in its place.
var wordings = []struct {
	said *regexp.Regexp
	told string
}{
	{regexp.MustCompile(`^expected "(<\w+>)"$`), `$1: must be given`},
	{regexp.MustCompile(`expected \w+ value but got "EOL" \(<EOL>\)|missing value, expecting ".*"`), `a value must follow it`},
	{regexp.MustCompile(`expected \w+ value but got (".*?") \(.* flag\); perhaps try .*`), `a value must follow it, and $1 looks like a flag (as a value it is given with =)`},
	{regexp.MustCompile(`expected a valid \d+ bit u?int but got ("-?\d+")`), `is too large a number, got $1`},
	{regexp.MustCompile(`expected (?:an int|a valid \d+ bit u?int) but got (".*?")(?: \(\w+\))?`), `must be a whole number, got $1`},
	{regexp.MustCompile(`expected a float but got (".*?") \(\w+\)`), `must be a number, got $1`},
	{regexp.MustCompile(`expected duration but got (".*?"): time: .* duration ".*?"`), `must be a number and a unit as in 90s, 30m or 12h, got $1`},
	{regexp.MustCompile(`bool value must be (.*?) but got (".*?")`), `must be $1, got $2`},
	{regexp.MustCompile(`^(--\S+) must be one of (".*"),(".*?") but got (".*?")$`), `$1: must be one of $2 or $3, got $4`},
	{regexp.MustCompile(` \(from envar (\w+)=".*"\)`), ` (from the variable $1)`},
}

// plainly is what the parser says, in words for a person.
func plainly(said string) string {
	for _, w := range wordings {
		said = w.said.ReplaceAllString(said, w.told)
	}
	return strings.ReplaceAll(said, `","`, `", "`) // lists of values
}

var belowZero = regexp.MustCompile(`^-\.?[0-9]`)

// joinNumbers puts a number below zero to the flag before it, so that it is taken
// for the flag's value, and what is wrong with it can be told: no flag begins so.
func joinNumbers(words []string) []string {
	var joined []string
	for i, word := range words {
		last := len(joined) - 1
		switch {
		case i == 0 || !belowZero.MatchString(word) || slices.Contains(words[:i], "--"):
			joined = append(joined, word)
		case strings.HasPrefix(words[i-1], "--") && !strings.Contains(words[i-1], "="):
			joined[last] += "=" + word
		case len(words[i-1]) == 2 && words[i-1][0] == '-':
			joined[last] += word
		default:
			joined = append(joined, word)
		}
	}
	return joined
}
