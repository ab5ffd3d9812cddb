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
	s.answer("is ready", "/quit") // typed while the answer comes
	if text, code := s.end(cmd); code != 0 || strings.Count(text, "> ") < 2 || strings.Contains(text, "rbee:") {
		t.Errorf("code %d: %s", code, text)
	}
}
