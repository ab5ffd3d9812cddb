package command

import (
	"regexp"
	"slices"
	"strings"

	"rbee.dev/rbee/ops"
)

// Template is a command line with words in braces, for which others are put in
// their place: {model} is the model's file and {name} its name; {socket} is the
// Unix socket to listen on, or {port} a free port of 127.0.0.1 and {api_key} the
// key that requests will carry; {parallel}, {context_length} and {threads} are
// numbers.
type Template struct {
	words []string
	uses  map[string]bool
}

// known are the names in braces.
var known = []string{"api_key", "context_length", "model", "name", "parallel", "port", "socket", "threads"}

// braced is a name in braces. What else has braces, as JSON, is left alone.
var braced = regexp.MustCompile(`\{[a-z_]+\}`)

// Parse reads a template. It must name either {socket} or {port}.
func Parse(line string) (Template, error) {
	t := Template{uses: map[string]bool{}}
	var err error
	if t.words, err = split(line); err != nil {
		return t, err
	}
	if len(t.words) == 0 || t.words[0] == "" {
		return t, ops.Invalid("command", "the command engine needs a command line").
			WithHint("as in: vllm serve {model} --served-model-name {name} --uds {socket}")
	}
	for _, w := range t.words {
		for _, b := range braced.FindAllString(w, -1) {
			name := strings.Trim(b, "{}")
			if !slices.Contains(known, name) {
				return t, ops.Invalid("command", "%s stands for nothing", b).WithHint("there are: {%s}", strings.Join(known, "}, {"))
			}
			t.uses[name] = true
		}
	}
	if t.uses["socket"] && t.uses["port"] {
		return t, ops.Invalid("command", "must say once where to listen: by {socket} or by {port}, not both")
	}
	if !t.uses["socket"] && !t.uses["port"] {
		return t, ops.Invalid("command", "must say where to listen: either {socket} or {port}")
	}
	return t, nil
}

// fill puts the values in their places. A value is never read again, and never
// divided into words.
func (t Template) fill(values map[string]string) []string {
	filled := make([]string, len(t.words))
	for i, w := range t.words {
		filled[i] = braced.ReplaceAllStringFunc(w, func(b string) string { return values[strings.Trim(b, "{}")] })
	}
	return filled
}
