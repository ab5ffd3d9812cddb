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
	e, hidden := ops.AsError(err), g.hidden()
	if e == nil || len(hidden) == 0 {
		return err
	}
	message, hint := without(hidden, e.Message), e.Hint
	if without(hidden, hint) != hint {
		there := slices.DeleteFunc(slices.Clone(g.key.Models), func(name string) bool { return !g.access.There(name) })
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

// Words are what happens, in the words of schedulers and hives, as the guest is told it.
func (g *guest) Words(text string) string { return without(g.hidden(), text) }

// hidden are the names of models that the guest's key is not for.
func (g *guest) hidden() []string {
	if g.key == nil || len(g.key.Models) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(g.access.Models()), func(name string) bool { return g.key.mayUse(name, g.access.Model) == nil })
}

// word is what can be a model's name, in a text.
var word = regexp.MustCompile(`"?[\pL\pN](?:[-\pL\pN_.:/]*[\pL\pN])?`)

// everyday are words that most texts have. A model that is called so is hidden only
// behind a quote, where it is named for sure: else nothing could be read any more. Another
// word that is a model's name reads ill where it means something else, and no more.
var everyday = []string{"rbee", "queen", "hive", "worker", "model", "models", "engine", "device", "key", "job", "a", "it", "is", "the", "no", "for"}

// without is a text without those names.
func without(names []string, text string) string {
	if len(names) == 0 {
		return text
	}
	return word.ReplaceAllStringFunc(text, func(w string) string {
		name := strings.TrimPrefix(w, `"`)
		if !slices.Contains(names, name) || name == w && slices.Contains(everyday, w) {
			return w
		}
		return strings.TrimSuffix(w, name) + "another model"
	})
}
