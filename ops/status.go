package ops

import (
	"context"
	"time"
)

// Status asks the queen for the whole picture: itself, its hives and their
// workers, and how many jobs it has.
type Status struct {
	op[QueenReport] `kong:"-" json:"-"`
}

// QueenReport is the answer to [Status].
type QueenReport struct {
	Version   string           `json:"version"`
	Build     string           `json:"build"`   // first 12 hex digits of the binary's SHA-256
	Address   string           `json:"address"` // where it listens, host:port
	PID       int              `json:"pid"`
	StartedAt time.Time        `json:"started_at"`
	LogPath   string           `json:"log_path"` // on the queen's machine
	Home      string           `json:"home"`     // folder of its state
	Hives     []Hive           `json:"hives"`
	Workers   []Worker         `json:"workers"`
	Jobs      map[JobState]int `json:"jobs"`    // jobs remembered, by state; lookups do not count
	Waiting   map[string]int   `json:"waiting"` // requests that wait for a worker, by model
	Drained   bool             `json:"drained"` // it takes no new work, by `rbee queen drain`
}

// Name returns "status".
func (Status) Name() string { return "status" }

// Validate accepts every Status: it has no fields.
func (Status) Validate() error { return nil }

func (o Status) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.Status(ctx, o)
	return done(o, r, err)
}
