package hive

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"rbee.dev/rbee/inference/fit"
	"rbee.dev/rbee/ops"
)

// mostPrompts is how much memory llama-server takes at the most, unless told
// otherwise, to keep the prompts that it has seen (--cache-ram, 8192 MiB): whatever
// the machine has.
const mostPrompts = 8 << 30

// promptCache is how much of the machine's memory a worker in the spot may fill
// with prompts that it has seen: twice what its requests hold at once, but no more
// than a quarter of what is free then. Below 0 is none, 0 leaves it to the engine.
func (h *Hive) promptCache(ctx context.Context, w want, s spot, need fit.Need) int64 {
	if w.engine != llamaCpp {
		return 0
	}
	if mebibytes, ok := flagged(w.flags, "cache-ram", "cram"); ok {
		return mebibytes << 20
	}
	total, free := h.freeIn(ctx, processor, nil)
	if total == 0 {
		return 0
	}
	if slices.Contains(s.pools, processor) {
		free -= min(free, need.Total())
	}
	if bytes := min(mostPrompts, 2*min(need.Cache, mostPrompts), free/4); bytes >= 1<<20 {
		return int64(bytes) //nolint:gosec // bounded
	}
	return -1
}

// flagged is the number that a person has given by a flag of one of these names,
// if it was given.
func flagged(flags []string, names ...string) (n int64, ok bool) {
	for _, f := range flags {
		name, text, _ := strings.Cut(strings.TrimLeft(f, "-"), "=")
		if v, err := strconv.ParseInt(text, 10, 32); err == nil && slices.Contains(names, name) {
			n, ok = v, true
		}
	}
	return n, ok
}

// promptsOf is how much of the machine's memory a worker may still fill with
// prompts. held is what it has, and own what it has for everything else.
func promptsOf(i ops.Worker, held, own uint64) uint64 {
	if i.PromptCache <= 0 {
		return 0
	}
	has := held - min(held, own)
	return uint64(i.PromptCache) - min(uint64(i.PromptCache), has) //nolint:gosec // above 0
}
