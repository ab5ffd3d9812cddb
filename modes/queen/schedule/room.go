package schedule

import (
	"maps"
	"slices"
	"time"

	"rbee.dev/rbee/ops"
)

// need is how much memory a worker of the model takes, in bytes: its weights at
// least.
func need(m ops.Model) int64 { return max(m.Size, m.Memory) }

// memories is a hive's memory, in bytes; 0 is not known.
func memories(devices []ops.Device) (all, fast int64) {
	var ram uint64
	var cards uint64
	for _, d := range devices {
		if d.Kind == "cpu" {
			ram = max(ram, d.MemoryBytes)
		}
	}
	for _, d := range ops.Accelerators(devices) {
		cards += d.MemoryBytes
	}
	return int64(max(ram, cards)), int64(cards) //nolint:gosec // memory sizes
}

// room tells whether another worker that takes so many bytes fits into the hive. It is
// rough, since other programs run there too: the hive itself looks closer.
func (h *hive) room(size int64, p *Place) {
	p.Fast = h.fast > 0 && size <= h.fast
	if h.memory == 0 {
		return
	}
	p.Free = max(0, h.memory-h.used)
	switch {
	case size > h.memory:
		p.Barred = TooLarge
	case size <= h.memory-h.used:
	case size <= h.memory-h.held-h.pinned:
		p.Evicts = true
	case size > h.memory-h.pinned:
		p.Barred = Pinned
	default:
		p.Barred = Crowded
	}
}

// full reports whether the hive, which looks closer, said a moment ago that it has
// no room for the site's model while its workers are busy, and they still are.
func (h *hive) full(t *site) bool {
	if t.refused.IsZero() {
		return false
	}
	past := time.Since(t.refused)
	return past < tellEvery || past < coolFor && h.held > 0
}

// weigh counts anew what the hive's workers take: all, those of pinned models, and
// of the others those that are busy.
func (h *hive) weigh() {
	h.used, h.held, h.pinned = 0, 0, 0
	for _, w := range h.workers {
		if w.info.State == ops.WorkerFailed || w.info.Broken() {
			continue
		}
		m := h.models[w.info.Model]
		size := need(m)
		h.used += size
		switch {
		case m.Pinned:
			h.pinned += size
		case w.taken() > 0 || w.info.PartOf != "" || w.info.State == ops.WorkerLoading:
			h.held += size
		}
	}
}

// shift counts a worker among the busy (by 1), or among the idle again (by -1).
func (h *hive) shift(w *worker, by int64) {
	if m := h.models[w.info.Model]; !m.Pinned {
		h.held += by * need(m)
	}
}

// pins are the pinned models of the hive's workers, by name.
func (h *hive) pins() []string {
	names := map[string]bool{}
	for _, w := range h.workers {
		if m := h.models[w.info.Model]; m.Pinned && w.info.State != ops.WorkerFailed {
			names[m.ID] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
