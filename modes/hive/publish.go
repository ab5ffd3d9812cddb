package hive

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"reflect"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

// between is the least time from one published state to the next: a worker
// under load changes thousands of times a second, and only the newest counts.
const between = 20 * time.Millisecond

// looksAgain is how long what the models' folder was seen to hold is good for,
// while nobody says that it has changed: for where it cannot be watched.
const looksAgain = time.Second

// changed has the hive's state published soon, its models read anew. It does not
// wait.
func (h *Hive) changed() {
	h.stocked.Store(false)
	h.soon()
}

func (h *Hive) soon() {
	select {
	case h.dirty <- struct{}{}:
	default: // it will be anyway
	}
}

// workersChanged has the state published soon for what the cores are shared out
// by, too. A busy worker changes all the time, and its model on disk does not.
func (h *Hive) workersChanged() {
	select {
	case h.moved <- struct{}{}:
	default: // it will be anyway
	}
	h.soon()
}

// workerTurned is workersChanged for a worker that begins or ceases to load: it is
// waited for, so it is told at once.
func (h *Hive) workerTurned() {
	h.workersChanged()
	h.hurry()
}

// hurry has the state published at once.
func (h *Hive) hurry() {
	select {
	case h.urgent <- struct{}{}:
	default: // it is about to be
	}
}

// publishing publishes the state after each change until ctx ends.
func (h *Hive) publishing(ctx context.Context) {
	var models []ops.Model
	var seen time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.urgent:
		case <-h.dirty:
		}
		if fresh := h.stocked.Swap(true); !fresh {
			models, seen = h.models.list(), time.Now()
		}
		h.jobs.Publish(h.snapshot(models))
		select {
		case <-ctx.Done():
			return
		case <-h.urgent:
			h.hurry() // it counts for the next round
		case <-time.After(between):
		}
		if time.Since(seen) <= looksAgain {
			continue
		}
		// Only now: a worker that has turned busy is about to say its first token.
		if now := h.models.list(); !reflect.DeepEqual(now, models) {
			models = now
			h.soon()
		}
		seen = time.Now()
	}
}

// snapshot is all that the hive knows of itself, with these models.
func (h *Hive) snapshot(models []ops.Model) ops.HiveSnapshot {
	workers := h.workers()
	started, running, usable := h.started, 0, 0
	for _, m := range models {
		if m.Error == "" {
			usable++
		}
	}
	for _, w := range workers {
		if w.State != ops.WorkerFailed {
			running++
		}
	}
	return ops.HiveSnapshot{
		Hive: ops.Hive{
			ID: h.Name, State: ops.HiveUp, Version: daemon.Version, Build: h.build, PID: os.Getpid(),
			Devices: h.machine.list(), Problems: h.machine.wrong(), StartedAt: &started, LogPath: h.Home.Log("hive"), Workers: running, Models: usable,
			IdleTimeout: ops.Shortly(h.IdleTimeout),
		},
		Workers: workers, Models: models,
	}
}

// probe is the body of a POST to /v1/probe.
type probe struct {
	Refresh bool `json:"refresh_capabilities"` // read the devices anew, cards too
	Devices bool `json:"devices"`              // wait for the first look at them, which the hive starts with
}

// serveProbe answers with what the hive knows at this moment.
func (h *Hive) serveProbe(w http.ResponseWriter, r *http.Request) {
	var body probe
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&body); err != nil {
		refuse(w, ops.Invalid("", "the body is not JSON: %w", err))
		return
	}
	if body.Devices && h.machine.known(r.Context()) != nil {
		return // who asked is gone
	}
	if body.Refresh {
		h.machine.look(r.Context())
		h.changed()
	} else {
		h.machine.lookQuickly(r.Context())
	}
	if err := h.models.restore(); err != nil {
		h.Log.Warn().Err(err).Msg("the models' folder is gone, and does not come back")
	}
	h.stocked.Store(false) // what is published next must not take back what this tells of
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(h.snapshot(h.models.list())); err != nil {
		h.Log.Debug().Err(err).Msg("a probe's answer did not arrive")
	}
}

func refuse(w http.ResponseWriter, e *ops.Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Code.HTTPStatus())
	_ = json.NewEncoder(w).Encode(e) // the client may be gone
}
