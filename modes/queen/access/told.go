package access

import (
	"regexp"
	"slices"
	"strings"

	"rbee.dev/rbee/ops"
)

// Told is err as the guest is told it: without the names of models that his key is not
// for, which are in the words of schedulers and hives, who know no keys. A hint with
// such names becomes one that names his own.
func (g *guest) Told(err error) error {
	e := ops.AsError(err)
	if e == nil || g.key == nil || len(g.key.Models) == 0 {
		return err
	}
	names := g.access.Models()
	hidden := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return g.key.mayUse(name, g.access.Model) == nil })
	message, hint := without(hidden, e.Message), e.Hint
	if without(hidden, hint) != hint {
		there := slices.DeleteFunc(slices.Clone(g.key.Models), func(name string) bool { return !slices.Contains(names, name) })
		if hint = "of the models that the API key is for there are: " + strings.Join(there, ", "); len(there) == 0 {
			hint = "none of the models that the API key is for is there: " + list(g.key.Models)
		}
	}
	if message == e.Message && hint == e.Hint {
		return err
	}
	e = e.WithHint("%s", hint)
	e.Message = message
	return e
}

// word is what can be a model's name, in a text.
var word = regexp.MustCompile(`[\pL\pN](?:[-\pL\pN_.:/]*[\pL\pN])?`)

// without is a text without those names.
func without(names []string, text string) string {
	return word.ReplaceAllStringFunc(text, func(w string) string {
		if slices.Contains(names, w) {
			return "another model"
		}
		return w
	})
}
