package ops

import "context"

// DrainState is the answer to [QueenDrain], [QueenResume], [HiveDrain] and
// [HiveResume].
type DrainState struct {
	HiveID  string `json:"hive_id,omitempty"` // empty is the queen herself
	Drained bool   `json:"drained"`
	Running int    `json:"running"` // requests that go on
	Waiting int    `json:"waiting"` // requests that wait for a worker, and may still get one: any, or one of the hive's
}

// QueenDrain has the queen take no new work; what runs and waits is finished. It
// holds until [QueenResume], also over a restart.
type QueenDrain struct {
	op[DrainState] `kong:"-" json:"-"`
}

// Name returns "queen_drain".
func (QueenDrain) Name() string { return "queen_drain" }

// Validate accepts every QueenDrain: it has no fields.
func (QueenDrain) Validate() error { return nil }

func (o QueenDrain) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.QueenDrain(ctx, o)
	return done(o, r, err)
}

// QueenResume undoes [QueenDrain].
type QueenResume struct {
	op[DrainState] `kong:"-" json:"-"`
}

// Name returns "queen_resume".
func (QueenResume) Name() string { return "queen_resume" }

// Validate accepts every QueenResume: it has no fields.
func (QueenResume) Validate() error { return nil }

func (o QueenResume) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.QueenResume(ctx, o)
	return done(o, r, err)
}

// HiveDrain keeps new work away from a hive; what runs there is finished. It
// holds until [HiveResume], also over a restart of the queen.
type HiveDrain struct {
	op[DrainState] `kong:"-" json:"-"`
	// HiveID names the hive.
	HiveID string `json:"hive_id" arg:"" name:"hive" help:"Hive to drain."`
}

// Name returns "hive_drain".
func (HiveDrain) Name() string { return "hive_drain" }

// Validate wants a hive.
func (o HiveDrain) Validate() error {
	return firstError(checkRequired("hive_id", o.HiveID), checkName("hive_id", o.HiveID))
}

func (o HiveDrain) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.HiveDrain(ctx, o)
	return done(o, r, err)
}

// HiveResume undoes [HiveDrain].
type HiveResume struct {
	op[DrainState] `kong:"-" json:"-"`
	// HiveID names the hive.
	HiveID string `json:"hive_id" arg:"" name:"hive" help:"Hive to give work again."`
}

// Name returns "hive_resume".
func (HiveResume) Name() string { return "hive_resume" }

// Validate wants a hive.
func (o HiveResume) Validate() error {
	return firstError(checkRequired("hive_id", o.HiveID), checkName("hive_id", o.HiveID))
}

func (o HiveResume) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.HiveResume(ctx, o)
	return done(o, r, err)
}
