package keeper

import (
	"context"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// chatCommands is the words that are not said to the model.
var chatCommands = []struct{ word, does string }{
	{"/help", "show this"},
	{"/model NAME", "ask another model from here on; without NAME, tell which it is"},
	{"/explain", "tell which worker gave the last answer, and why"},
	{"/new", "begin a new conversation"},
	{"/quit", "end the chat; Ctrl-D does so, too"},
}

// oneWord is a line that can only have been meant as a command.
var oneWord = regexp.MustCompile(`^/[a-z]+$`)

// command does what a line says that is no turn, and reports whether it was one.
// What begins with a slash and is no command is said to the model, but for a
// single word.
func (c *conversation) command(ctx context.Context, line string) (known bool, err error) {
	line = strings.TrimRight(line, " \t\r")
	word, rest, _ := strings.Cut(line, " ")
	alone := slices.ContainsFunc(chatCommands, func(command struct{ word, does string }) bool { return command.word == word })
	switch {
	case strings.Contains(line, "\n"): // it was pasted, and is said
		return false, nil
	case alone && rest != "":
		return true, ops.Invalid("", "%s takes nothing behind it", word).WithHint(sayAnyway)
	}
	switch word {
	case "/help":
		for _, command := range chatCommands {
			c.keeper.say("%-12s %s", command.word, command.does)
		}
		c.keeper.say("A line that begins with a slash is said to the model where a blank is before it.")
		c.keeper.say("The arrow keys edit the line and bring earlier ones back. Ctrl-C breaks an answer off, or clears the line.")
	case "/model":
		return true, c.change(ctx, strings.TrimSpace(rest))
	case "/explain":
		return true, c.explain(ctx)
	case "/new":
		c.begin()
		c.keeper.say("a new conversation begins")
	default:
		if !oneWord.MatchString(line) {
			return false, nil
		}
		return true, noCommand(word)
	}
	return true, nil
}

// sayAnyway is how a line is said to the model that would be a command.
const sayAnyway = "a blank before it has it said to the model"

// noCommand is the error of a word that is none of the commands.
func noCommand(word string) error {
	names := make([]string, len(chatCommands))
	for i, command := range chatCommands {
		names[i], _, _ = strings.Cut(command.word, " ")
	}
	hint := "there are "
	if near := ops.Nearest(word, names); near != "" {
		hint = "did you mean " + near + "? There are "
	}
	return ops.Invalid("", "there is no command %s", word).WithHint("%s%s; %s", hint, strings.Join(names, ", "), sayAnyway)
}

// change asks the model called name from here on, or stays with the one that was
// asked where there is none of that name.
func (c *conversation) change(ctx context.Context, name string) error {
	if name != "" {
		if err := c.check(ctx, name); err != nil {
			return err
		}
		c.Model = name
	}
	c.keeper.say("the model is %s", c.with(ctx))
	return nil
}

// explain tells why the last answer came from where it did.
func (c *conversation) explain(ctx context.Context) error {
	if c.asked == "" {
		c.keeper.say("there is no answer yet that could be explained")
		return nil
	}
	x, err := transport.Call(ctx, c.queen, ops.Explain{ID: c.asked})
	if err != nil {
		return err
	}
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	explanation(w, x)
	if err := w.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		c.keeper.say("%s", strings.TrimSuffix(line, "\n"))
	}
	return nil
}

// check refuses a model that no hive has. Whether one can be brought from where
// its name says shows when it is asked.
func (c *conversation) check(ctx context.Context, name string) error {
	if ops.IsModelReference(name) {
		return nil
	}
	return c.queen.Get(ctx, "/v1/models/"+url.PathEscape(name), nil)
}

// with names the model that the next line is said to.
func (c *conversation) with(ctx context.Context) string {
	if c.Model != "" {
		return c.Model
	}
	var loaded struct {
		Models []struct{ Model string }
	}
	if err := c.queen.Get(ctx, "/api/ps", &loaded); err == nil && len(loaded.Models) == 1 {
		return strings.TrimSuffix(loaded.Models[0].Model, ":latest") + ", which is loaded" // Ollama's names have that tag
	}
	return "whichever model is loaded"
}
