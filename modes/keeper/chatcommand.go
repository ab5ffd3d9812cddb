package keeper

import (
	"regexp"
	"strings"

	"rbee.dev/rbee/ops"
)

// chatCommands is the words that are not said to the model.
var chatCommands = []struct{ word, does string }{
	{"/help", "show this"},
	{"/model NAME", "ask another model from here on; without NAME, tell which"},
	{"/new", "begin anew"},
	{"/quit", "end (Ctrl-D does, too)"},
}

// oneWord is a line that can only have been meant as a command.
var oneWord = regexp.MustCompile(`^/[a-z]+$`)

// command does what a line says that is no turn, and reports whether it was one.
// What begins with a slash and is no command is said to the model, but for a
// single word that a person types.
func (c *conversation) command(line string, person bool) bool {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch word {
	case "/help":
		for _, known := range chatCommands {
			c.keeper.say("%-12s %s", known.word, known.does)
		}
		c.keeper.say("The arrow keys edit the line and bring earlier ones back; Ctrl-C breaks an answer off.")
	case "/model":
		if name := strings.TrimSpace(rest); name != "" {
			c.Model = name
		}
		c.keeper.say("the model is %s", orDefault(c.Model))
	case "/new":
		c.begin()
	default:
		if !person || !oneWord.MatchString(line) {
			return false
		}
		names := make([]string, len(chatCommands))
		for i, known := range chatCommands {
			names[i], _, _ = strings.Cut(known.word, " ")
		}
		hint := "/help shows what there is"
		if near := ops.Nearest(word, names); near != "" {
			hint = "did you mean " + near + "?"
		}
		c.keeper.say("rbee: there is no %s; %s", word, hint)
	}
	return true
}

func orDefault(model string) string {
	if model == "" {
		return "whichever is loaded"
	}
	return model
}
