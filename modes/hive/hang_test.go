package hive_test

import (
	"syscall"
	"testing"

	"rbee.dev/rbee/ops"
)

// inState reports whether a worker is in that state.
func inState(id string, state ops.WorkerState) func(ops.HiveSnapshot) bool {
	return func(s ops.HiveSnapshot) bool {
		for _, w := range s.Workers {
			if w.ID == id {
				return w.State == state
			}
		}
		return false
	}
}

func TestAWorkerThatHangsIsToldOfPassedOverAndUsedAgain(t *testing.T) {
	h := start(t)
	w := do(t, h.Client, ops.WorkerSpawn{Model: "tinybee"})
	signal := func(s syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(w.PID, s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	// Nobody has noticed yet: who asks for this one is told, who asks for any gets another.
	here := ops.Infer{Model: "tinybee", Prompt: "Once", MaxTokens: 3}
	there := here
	there.WorkerID = w.ID
	wantError(t, infer(t, h.Client, there, nil).err, ops.CodeUnavailable, "worker "+w.ID, "does not answer", "`rbee worker delete "+w.ID+"`")
	await(t, h.Client, inState(w.ID, ops.WorkerHung))
	if now := do(t, h.Client, ops.WorkerGet{ID: w.ID}); now.Error == "" || now.PID != w.PID {
		t.Errorf("it is %+v", now)
	}
	wantError(t, infer(t, h.Client, there, nil).err, ops.CodeUnavailable, "worker "+w.ID, "does not answer", "`rbee worker delete "+w.ID+"`")
	other := infer(t, h.Client, here, nil)
	if other.err != nil || other.answer.WorkerID == w.ID {
		t.Errorf("%v, from %+v", other.err, other.answer)
	}

	signal(syscall.SIGCONT)
	await(t, h.Client, inState(w.ID, ops.WorkerReady))
	if again := infer(t, h.Client, there, nil); again.err != nil || again.answer.WorkerID != w.ID {
		t.Errorf("%v, from %+v", again.err, again.answer)
	}

	signal(syscall.SIGSTOP)
	do(t, h.Client, ops.WorkerDelete{ID: w.ID})
	if list := do(t, h.Client, ops.WorkerList{}); len(list.Workers) != 1 || list.Workers[0].ID == w.ID {
		t.Errorf("there are %+v", list.Workers)
	}
}
