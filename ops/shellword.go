package ops

import (
	"regexp"
	"strings"
)

// plainWord is what a shell takes as it stands.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_%+,./:@-]+$`)

// ShellWord is s as one word of a command line that a person may give to a shell: in
// quotes where the shell would read something into it.
func ShellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
