package ops

import "slices"

// Priority is how urgent a request is: interactive ones get their turns first.
type Priority string

// The priorities.
const (
	Interactive Priority = "interactive" // somebody waits for it
	Batch       Priority = "batch"       // when there is nothing else to do
)

// ParsePriority reads a priority; "" is interactive.
func ParsePriority(text string) (Priority, error) {
	switch p := Priority(text); p {
	case "":
		return Interactive, nil
	case Interactive, Batch:
		return p, nil
	}
	names := []string{string(Interactive), string(Batch)}
	e := Invalid("priority", "must be interactive or batch, got %q", text)
	if near := Nearest(text, names); slices.Contains(names, near) {
		return "", e.WithHint("did you mean %q?", near)
	}
	return "", e
}

func checkPriority(p Priority) error {
	_, err := ParsePriority(string(p))
	return err
}
