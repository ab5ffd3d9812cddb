package modes_test

import (
	"strings"
	"testing"
)

// TestAWorkerThatHangsIsToldOfAndPassedOver: who asks for an answer gets it from
// another, and who lists the workers is told which it is and how it is ended.
func TestAWorkerThatHangsIsToldOfAndPassedOver(t *testing.T) {
	t.Parallel() // it waits
	p := newPlace(t)
	p.rbee("infer", "-n", "1", "hi")
	hung := p.workers()[0]
	p.stop(hung.PID)
	if text := p.rbee("infer", "-n", "20", "hi"); strings.TrimSpace(text) == "" {
		t.Error("it answers with nothing")
	}
	says(t, p.rbee("worker", "list"), " hung ", " ready ")
	says(t, p.rbee("worker", "get", hung.ID), "hung", "does not answer", "`rbee worker delete "+hung.ID+"`")
	p.rbee("worker", "delete", hung.ID)
	if left := p.workers(); len(left) != 1 || left[0].ID == hung.ID {
		t.Errorf("there are %+v", left)
	}
}
