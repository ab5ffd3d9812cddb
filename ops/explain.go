package ops

import (
	"context"
	"time"
)

// Explain tells why a request went where it did: which workers and hives were
// considered, and why each lost.
type Explain struct {
	op[Explanation] `kong:"-" json:"-"`
	// ID is a job's id, or of a request to one of the APIs the X-Rbee-Job header
	// of its answer. Required.
	ID string `json:"id" arg:"" help:"Job's id, or the X-Rbee-Job header of an answer."`
}

// Explanation is the answer to [Explain].
type Explanation struct {
	JobID     string     `json:"id"`
	Model     string     `json:"model"`              // "" while it is brought
	Alias     string     `json:"alias,omitempty"`    // the name that was asked for, where that is another one
	Asked     string     `json:"asked,omitempty"`    // where the model comes from, of a request that named that
	FoundMS   float64    `json:"found_ms,omitempty"` // how long it took to have that, downloaded if need be
	Client    string     `json:"client"`             // whose it is: an API key's id, "token" for the queen's token, or a machine's address
	KeyName   string     `json:"key_name,omitempty"` // what that key is called; "" once it is forgotten
	Priority  Priority   `json:"priority"`
	At        time.Time  `json:"at"`                // when it came
	WaitedMS  float64    `json:"waited_ms"`         // from then until a worker got it first, or until it left, or until now where it waits
	Waits     bool       `json:"waits,omitempty"`   // it waits its turn
	Place     int        `json:"place,omitempty"`   // in the queue: now, or when it came; 0 where it did not have to wait
	Waiting   int        `json:"waiting,omitempty"` // how many were in the queue then
	Spawn     bool       `json:"spawn,omitempty"`   // it wants a worker started, beside those that there are
	Decisions []Decision `json:"decisions"`         // oldest first
	Ended     Ended      `json:"ended,omitempty"`   // "" while it is not over
	TookMS    float64    `json:"took_ms,omitempty"` // from when it came to that; 0 where it is not known
	Error     string     `json:"error,omitempty"`   // why it was not answered to the end
	Hint      string     `json:"hint,omitempty"`    // what can be done about that
}

// Ended is how a request was over.
type Ended string

// How a request can be over.
const (
	EndedDone      Ended = "done"
	EndedFailed    Ended = "failed"     // the answer was an error
	EndedBroken    Ended = "broken_off" // an answer that had begun ended with an error
	EndedGone      Ended = "gone"       // the client went away
	EndedCancelled Ended = "cancelled"  // the job was
	EndedLost      Ended = "lost"       // nobody knows: the queen ended before
)

// Decided is what came out of a [Decision].
type Decided string

// What can come out of a decision.
const (
	DecidedDownload Decided = "download" // its model is downloaded onto a hive
	DecidedWorker   Decided = "worker"   // a worker got it
	DecidedStart    Decided = "start"    // a worker is started for it
	DecidedRoom     Decided = "room"     // busy workers on a hive finish, and make room for it
	DecidedWait     Decided = "wait"     // it waits its turn
	DecidedRefused  Decided = "refused"  // nobody can do it, and waiting would not change that
	DecidedFull     Decided = "full"     // as many wait as may: it was refused
	DecidedMadeWay  Decided = "made_way" // as many wait as may: it waits no more, since another one came that goes before it
)

// Decision is one of the scheduler's about a request.
type Decision struct {
	At       time.Time    `json:"at"`
	Outcome  Decided      `json:"outcome"`
	HiveID   string       `json:"hive_id,omitempty"`
	WorkerID string       `json:"worker_id,omitempty"`
	Coming   bool         `json:"coming,omitempty"` // it waits for workers that are being started, enough for all that wait
	Workers  []Considered `json:"workers"`          // that run the model; the chosen one first
	Hives    []Considered `json:"hives"`            // where one could be started, or the model brought; empty where none had to be
	Failed   string       `json:"failed,omitempty"` // why nothing came of it: what the worker did, or why none could be started
	Notes    []string     `json:"notes,omitempty"`  // what was done for it, for a person: which workers were unloaded
	Omitted  int          `json:"omitted"`          // workers and hives that are not told of: only so many are remembered
}

// Considered is a worker or a hive that a decision was between.
type Considered struct {
	HiveID   string `json:"hive_id"`
	WorkerID string `json:"worker_id,omitempty"` // empty for a hive
	Chosen   bool   `json:"chosen"`
	Reason   string `json:"reason,omitempty"` // why it lost, a stable word
	Why      string `json:"why"`              // the same for a person
}

// Name returns "explain".
func (Explain) Name() string { return "explain" }

// Validate wants an id.
func (o Explain) Validate() error { return checkRequired("id", o.ID) }

func (o Explain) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.Explain(ctx, o)
	return done(o, r, err)
}
