package hive

import (
	"context"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize/english"

	"rbee.dev/rbee/inference/fit"
	"rbee.dev/rbee/ops"
)

// refusal is the error for a model that does not fit: what it takes, what is
// free, and what would fit.
func (h *Hive) refusal(ctx context.Context, w want, run fit.Run, shape fit.Model, s spot) error {
	need := shape.Need(run)
	total, free := h.freeable(ctx, s)
	where := "hive " + h.Name
	if s.device != processor && s.device != auto {
		where = s.device + " of " + where
	}
	parts := []string{humanBytes(need.Weights) + " of weights"}
	if need.Cache > 0 {
		parts = append(parts, fmt.Sprintf("%s for %s of %d tokens", humanBytes(need.Cache), english.Plural(run.Parallel, "request", ""), run.Context))
	}
	if rest := need.Compute + need.Program; rest > 0 {
		parts = append(parts, humanBytes(rest)+" to compute with")
	}
	code := ops.CodeUnavailable
	if h.fleet.busyIn(func(i ops.Worker) bool { return h.yields(s, i) }) && need.Total() <= total {
		code = ops.CodeBusy // later there may be room
	}
	unused, other := h.unusedBy(ctx, w)
	what := w.model.ID
	if len(w.parts) > 0 {
		what = fmt.Sprintf("the part of %s that %s is to hold", what, where)
	}
	takes, has := apart(need.Total(), free)
	return ops.Errorf(code, "%s takes about %s (%s), and of the %s that %s has, %s are free for it%s%s",
		what, takes, strings.Join(parts, ", "), humanBytes(total), where, has, h.kept(ctx, s, free), unused).
		WithHint("%s", h.wouldFit(w, run, shape, promise(free))+other+h.stays(s, need.Total() <= total)).WithLack(ops.LacksMemory)
}

// unusedBy tells of cards that a worker could go to, were its engine for them, and how
// it may get one: the ends of an error and of its hint, or "".
func (h *Hive) unusedBy(ctx context.Context, w want) (why, hint string) {
	if !w.anyDevice || len(w.parts) > 0 {
		return "", ""
	}
	if _, why = h.cardsFor(ctx, w.engine, w.program); why == "" {
		return "", ""
	}
	return "; " + why, fmt.Sprintf("; `rbee engine install%s` brings llama.cpp for the card where its release has that", ops.HiveFlag(h.Name))
}

// promise is how much of what is free a hint counts on, in bytes: some of it may be
// gone when the hint is typed.
func promise(free uint64) uint64 { return free - free/64 }

// kept tells of what is free in the spot, but for the workers that stay there: it is
// "" where that is too little to be seen beside what is free for others, in bytes.
func (h *Hive) kept(ctx context.Context, s spot, free uint64) string {
	idle := h.idleIn(s)
	var bytes uint64
	for _, pool := range s.pools {
		_, left := h.pool(ctx, pool)
		bytes += min(left, h.promised(pool, idle))
	}
	if humanBytes(free) == humanBytes(free+bytes) {
		return ""
	}
	return fmt.Sprintf("; %s more are kept for what its workers may still take, the prompts that they remember included", humanBytes(bytes))
}

// idleIn are the workers that are unloaded where a model needs their room in the
// spot, which they have left where one is refused that is too big even then.
func (h *Hive) idleIn(s spot) map[*member]bool {
	idle := map[*member]bool{}
	for _, m := range h.fleet.all() {
		idle[m] = m.isIdle() && h.yields(s, m.tell())
	}
	return idle
}
