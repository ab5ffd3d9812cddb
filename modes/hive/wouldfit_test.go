package hive

import (
	"bytes"
	"os"
	"runtime"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestWhoOnlyAsksWhetherAModelWouldFitUnloadsNothing(t *testing.T) {
	held := bytes.Repeat([]byte{1}, 64<<20) // by this process, as if it were the worker's
	defer runtime.KeepAlive(held)
	if _, known := ownMemory(os.Getpid()); !known {
		if os.Getenv("CI") != "" {
			t.Fatal("CI must know what a process holds")
		}
		t.Skip("what a process holds is not known here")
	}
	var free uint64
	h := roomy(t, &free)
	w, takes := h.bee(t, builtin, processor)
	free = takes
	h.idling(t, w)
	m := h.fleet.all()[0]
	m.mu.Lock()
	m.info.PID = os.Getpid()
	m.mu.Unlock()
	w.wouldFit, w.context, w.parallel, w.model.ID = true, 512, 1, "coming"
	for name, c := range map[string]struct {
		weights uint64
		code    ops.Code
	}{"in its place": {16 << 20, ""}, "not even then": {1 << 40, ops.CodeUnavailable}} {
		shape := h.models.shape("bee")
		shape.Weights, w.shape = c.weights, &shape
		need := shape.Need(w.run(shape)).Total()
		free = h.outstanding(m, processor) + min(need, 1<<30) - 1<<20
		got, err := h.roomOnly(t.Context(), w)
		if ops.CodeOf(err) != c.code || err == nil && got.PartBytes != need {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if len(h.fleet.all()) != 1 {
			t.Fatalf("%s: a worker is unloaded", name)
		}
	}
}
