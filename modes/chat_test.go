package modes_test

import (
	"strings"
	"testing"
)

func TestAPersonTalksAtATerminal(t *testing.T) {
	p := newPlace(t)
	cmd := p.command("chat", "-m", "tinybee", "-n", "6", "--seed", "1")
	s := sitWhole(t, cmd)
	s.answer("> ", "Once upon a time")
	s.answer("is ready", "/hlp") // typed while the answer comes
	s.answer("did you mean /help?", "/help")
	s.answer("/new", "/quit")
	if text, code := s.end(cmd); code != 0 || strings.Count(text, "> ") < 2 || strings.Count(text, "rbee:") != 1 {
		t.Errorf("code %d: %s", code, text)
	}
}
