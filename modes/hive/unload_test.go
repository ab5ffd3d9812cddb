package hive_test

import (
	"context"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"rbee.dev/rbee/inference/enginetest"
	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/hive"
	"rbee.dev/rbee/ops"
)

// cramped is how much is free, in bytes, where a model would only just fit, by what a
// worker gives back at its end.
const cramped = 50 << 20

// TestAWorkerThatHasNothingToDoMakesRoomForAnother: of two, the one that was
// used last stays.
func TestAWorkerThatHasNothingToDoMakesRoomForAnother(t *testing.T) {
	h := newHome(t)
	c := client(t, h)
	var tight atomic.Bool // then there is room for one beside one
	stop := run(t, h, func(o *hive.Options) {
		o.Memory = func(context.Context) (uint64, uint64) {
			if running, err := os.ReadDir(h.Workers()); tight.Load() && err == nil && len(running) > 1 {
				return 1 << 40, cramped
			}
			return 1 << 40, 1 << 39
		}
	})
	defer stop(daemon.ScopeAll)
	first := do(t, c, ops.WorkerSpawn{})
	second := do(t, c, ops.WorkerSpawn{})
	if got := infer(t, c, ops.Infer{Prompt: "x", WorkerID: first.ID}, nil); got.err != nil || got.text != enginetest.Text(pieces) {
		t.Fatalf("%+v", got)
	}
	for busy := true; busy; { // until the hive has heard that it is done
		busy = slices.ContainsFunc(do(t, c, ops.WorkerList{}).Workers, func(w ops.Worker) bool { return w.State != ops.WorkerReady || w.Running > 0 })
	}
	tight.Store(true)
	third := do(t, c, ops.WorkerSpawn{})
	ids := map[string]bool{}
	for _, w := range do(t, c, ops.WorkerList{}).Workers {
		ids[w.ID] = true
	}
	if len(ids) != 2 || !ids[first.ID] || !ids[third.ID] {
		t.Errorf("left are %v; the first was %s, the second %s, the third %s", ids, first.ID, second.ID, third.ID)
	}
}

// TestMemoryThatIsFreeOnlyAWhileAfterAWorkerHasEndedIsWaitedFor: and a second worker
// is not unloaded in vain.
func TestMemoryThatIsFreeOnlyAWhileAfterAWorkerHasEndedIsWaitedFor(t *testing.T) {
	h := newHome(t)
	c := client(t, h)
	var tight atomic.Bool
	var looks atomic.Int32 // since there is one worker less
	stop := run(t, h, func(o *hive.Options) {
		o.Memory = func(context.Context) (uint64, uint64) {
			if running, err := os.ReadDir(h.Workers()); tight.Load() && err == nil && (len(running) > 1 || looks.Add(1) < 20) {
				return 1 << 40, cramped
			}
			return 1 << 40, 1 << 39
		}
	})
	defer stop(daemon.ScopeAll)
	do(t, c, ops.WorkerSpawn{})
	do(t, c, ops.WorkerSpawn{})
	tight.Store(true)
	do(t, c, ops.WorkerSpawn{})
	if list := do(t, c, ops.WorkerList{}).Workers; len(list) != 2 {
		t.Errorf("left are %+v", list)
	}
}

// TestAWorkerThatHasNothingToDoMakesRoomForAPart: of a model of another hive's.
func TestAWorkerThatHasNothingToDoMakesRoomForAPart(t *testing.T) {
	t.Setenv(llamacpp.RPCPathEnv, os.Args[0])
	h := newHome(t)
	c := client(t, h)
	stop := run(t, h, func(o *hive.Options) {
		o.Memory = func(context.Context) (uint64, uint64) {
			if running, err := os.ReadDir(h.Workers()); err == nil && len(running) > 0 {
				return 1 << 40, cramped
			}
			return 1 << 40, 1 << 39
		}
	})
	defer stop(daemon.ScopeAll)
	idle := do(t, c, ops.WorkerSpawn{})
	part := do(t, c, ops.WorkerSpawn{Engine: ops.EngineRPC, Split: ops.Split{PartOf: "gpu1/w", PartBytes: cramped + 1<<20}})
	list := do(t, c, ops.WorkerList{}).Workers
	if len(list) != 1 || list[0].ID != part.ID || list[0].PartOf != "gpu1/w" {
		t.Errorf("left are %+v; the idle one was %s, the part is %s", list, idle.ID, part.ID)
	}
}

func TestRoomIsMadeForAPartThatIsStartedLater(t *testing.T) {
	t.Setenv(llamacpp.RPCPathEnv, os.Args[0])
	h := newHome(t)
	c := client(t, h)
	stop := run(t, h, func(o *hive.Options) {
		o.Memory = func(context.Context) (uint64, uint64) { return 1 << 40, 1 << 39 }
	})
	defer stop(daemon.ScopeAll)
	part := ops.WorkerSpawn{Engine: ops.EngineRPC, Split: ops.Split{PartOf: "gpu1/w", PartBytes: 1 << 38, RoomOnly: true}}
	if room := do(t, c, part); room.ID != "" || room.PartBytes != 1<<38 {
		t.Errorf("it says %+v", room)
	}
	part.PartBytes = 1 << 41
	fails(t, c, part, ops.CodeUnavailable, "the part of the model that hive localhost is to hold takes about 2.0 TiB, and of the 1.0 TiB that it has, 508 GiB are free for it", "name another hive in --hives")
	if list := do(t, c, ops.WorkerList{}).Workers; len(list) != 0 {
		t.Errorf("there are %+v", list)
	}
}

// TestAModelThatAPartLeavesNoRoomForIsToldOfIt: the part stays, since its hive does
// not know whether its worker has anything to do.
func TestAModelThatAPartLeavesNoRoomForIsToldOfIt(t *testing.T) {
	t.Setenv(llamacpp.RPCPathEnv, os.Args[0])
	h := newHome(t)
	c := client(t, h)
	stop := run(t, h, func(o *hive.Options) {
		o.Memory = func(context.Context) (uint64, uint64) {
			if running, err := os.ReadDir(h.Workers()); err == nil && len(running) > 0 {
				return 1 << 40, 0
			}
			return 1 << 40, 1 << 39
		}
	})
	defer stop(daemon.ScopeAll)
	part := do(t, c, ops.WorkerSpawn{Engine: ops.EngineRPC, Split: ops.Split{PartOf: "gpu1/w", PartBytes: 1 << 30}})
	fails(t, c, ops.WorkerSpawn{}, ops.CodeUnavailable, "0 B are free for it", "a part of a divided model is here, which `rbee worker delete w --hive gpu1` ends")
	if list := do(t, c, ops.WorkerList{}).Workers; len(list) != 1 || list[0].ID != part.ID {
		t.Errorf("left are %+v", list)
	}
}

// TestAModelThatAPinnedOneLeavesNoRoomForIsToldOfIt: which is pinned, and how to
// have it go.
func TestAModelThatAPinnedOneLeavesNoRoomForIsToldOfIt(t *testing.T) {
	h := newHome(t)
	c := client(t, h)
	stop := run(t, h, func(o *hive.Options) {
		o.Memory = func(context.Context) (uint64, uint64) {
			if running, err := os.ReadDir(h.Workers()); err == nil && len(running) > 0 {
				return 1 << 40, cramped
			}
			return 1 << 40, 1 << 39
		}
	})
	defer stop(daemon.ScopeAll)
	do(t, c, ops.ModelPin{ID: "tinybee"})
	do(t, c, ops.WorkerSpawn{})
	fails(t, c, ops.WorkerSpawn{}, ops.CodeUnavailable, "pinned models are not unloaded: tinybee (`rbee model unpin tinybee` changes that)")
	do(t, c, ops.ModelUnpin{ID: "tinybee"})
	do(t, c, ops.WorkerSpawn{})
}

func TestAWorkerIsEndedOnlyIfItIsIdleWhereThatIsAsked(t *testing.T) {
	h := newHome(t)
	c := client(t, h)
	stop := run(t, h)
	defer stop(daemon.ScopeAll)
	w := do(t, c, ops.WorkerSpawn{})
	do(t, c, ops.ModelPin{ID: "tinybee"})
	fails(t, c, ops.WorkerDelete{ID: w.ID, IfIdle: true}, ops.CodeConflict, "its model tinybee is pinned", "rbee model unpin tinybee")
	do(t, c, ops.ModelUnpin{ID: "tinybee"})
	await(t, c, func(s ops.HiveSnapshot) bool { return len(s.Workers) == 1 && s.Workers[0].State == ops.WorkerReady })
	do(t, c, ops.WorkerDelete{ID: w.ID, IfIdle: true})
	if list := do(t, c, ops.WorkerList{}).Workers; len(list) != 0 {
		t.Errorf("left are %+v", list)
	}
}
