package llamacpp

import (
	"context"
	"regexp"
	"slices"
	"strings"
)

// Words is what the program says of one of its flags.
type Words struct {
	// Value is what follows the flag, as N or <0|1>; "" is nothing.
	Value string
	// Text says what it is for, in some 160 characters at most.
	Text string
}

// AskFlags asks the program what each of its flags is for, by the names that
// [Flags] has; those that it does not know are left out.
func AskFlags(ctx context.Context, program string) (map[string]Words, error) {
	help, err := output(ctx, program, "--help")
	if err != nil {
		return nil, err
	}
	all := readHelp(help)
	for name, w := range all {
		if !slices.Contains(Flags(), name) {
			delete(all, name)
		} else if strings.HasSuffix(w.Value, "TEMPLATE") { // of which only a name is passed on
			w.Value = "NAME"
			all[name] = w
		}
	}
	return all, nil
}

var (
	// helpLine is a line of --help that begins with names: "-t,    --threads N
	// number of CPU threads". The value's name follows the last of them after one
	// space.
	helpLine = regexp.MustCompile(`^((?:--?[A-Za-z][\w.-]*,\s+)*--?[A-Za-z][\w.-]*)(?: (\S.*?))?(?:\s{2,}(.*))?$`)
	// comma is what stands between names there.
	comma = regexp.MustCompile(`,\s+`)
	// beside is what nobody needs who reads of a flag here: which variable stands for
	// it, which rbee does not pass on, and where on the web there is more.
	beside = regexp.MustCompile(`\s*(\(env: [^)]*\)|\[\([^)]*\)\](\(\S*\))?)`)
)

// readHelp takes the program's help apart, by the flags' names without dashes.
func readHelp(help string) map[string]Words {
	all := map[string]Words{}
	var names []string
	var w Words
	end := func() {
		text := strings.Join(strings.Fields(beside.ReplaceAllString(w.Text, "")), " ")
		if most := 160; len([]rune(text)) > most {
			text = string([]rune(text)[:most]) + "…"
		}
		for _, name := range names {
			if name, ok := strings.CutPrefix(name, "--"); ok && text != "" {
				all[name] = Words{w.Value, text}
			}
		}
		names, w = nil, Words{}
	}
	for line := range strings.Lines(help) {
		line = strings.TrimRight(line, "\n")
		switch m := helpLine.FindStringSubmatch(line); {
		case m != nil:
			end()
			names, w = comma.Split(m[1], -1), Words{m[2], m[3]}
		case strings.HasPrefix(line, " "):
			w.Text += " " + line
		default: // a heading, or nothing
			end()
		}
	}
	end()
	return all
}
