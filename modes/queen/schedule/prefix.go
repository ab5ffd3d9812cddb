package schedule

import "hash/maphash"

const (
	// shortest is the length of the first beginning that is remembered, in bytes;
	// each next one is twice as long.
	shortest = 128
	// beginnings is how many of a prompt's are: the longest is 128 KiB.
	beginnings = 11
	// remembered is how many of them each worker is known to have answered to.
	remembered = 512
	// holders is how many workers are remembered for one beginning.
	holders = 4
)

// seed is of this process: the hashes mean nothing outside it.
var seed = maphash.MakeSeed()

// Prefixes hashes a prompt's beginnings, of 128 bytes, 256 and so on. A worker
// that has answered to one of them likely has it in its prompt cache.
func Prefixes(prompt []byte) []uint64 {
	if len(prompt) < shortest {
		return nil
	}
	var h maphash.Hash
	h.SetSeed(seed)
	list := make([]uint64, 0, beginnings)
	for from, to := 0, shortest; to <= len(prompt) && len(list) < beginnings; from, to = to, 2*to {
		_, _ = h.Write(prompt[from:to]) // never fails
		list = append(list, h.Sum64())
	}
	return list
}

// warmth remembers which workers have answered to which beginnings, the newest of
// each.
type warmth struct {
	by map[uint64][]*worker // newest last
}

// note notes that a worker answers to a prompt with these beginnings.
func (m *warmth) note(w *worker, prefixes []uint64) {
	if m.by == nil {
		m.by = map[uint64][]*worker{}
	}
	for _, p := range prefixes {
		list := m.by[p]
		if len(list) > 0 && list[len(list)-1] == w {
			continue
		}
		list, had := without(list, w)
		if len(list) == holders {
			list = append(list[:0], list[1:]...)
		}
		m.by[p] = append(list, w)
		if !had {
			w.remember(m, p)
		}
	}
}

// without takes a worker out of a list, and reports whether it was there.
func without(list []*worker, w *worker) ([]*worker, bool) {
	for i, other := range list {
		if other == w {
			return append(list[:i], list[i+1:]...), true
		}
	}
	return list, false
}

// remember keeps the beginning among the worker's newest, in place of the oldest.
func (w *worker) remember(m *warmth, p uint64) {
	if len(w.prefixes) < remembered {
		w.prefixes = append(w.prefixes, p)
		return
	}
	m.drop(w, w.prefixes[w.oldest])
	w.prefixes[w.oldest] = p
	w.oldest = (w.oldest + 1) % remembered
}

// drop forgets that the worker has answered to a beginning.
func (m *warmth) drop(w *worker, p uint64) {
	list, _ := without(m.by[p], w)
	if len(list) == 0 {
		delete(m.by, p)
		return
	}
	m.by[p] = list
}

// forget forgets all of a worker.
func (m *warmth) forget(w *worker) {
	for _, p := range w.prefixes {
		m.drop(w, p)
	}
	w.prefixes, w.oldest = nil, 0
}

// mark sets warm of the line's workers that know a beginning of the request: the
// longer, the higher. It returns those it has set, to be cleared again.
func (m *warmth) mark(l *line, prefixes []uint64) (marked []*worker) {
	for i := len(prefixes) - 1; i >= 0; i-- {
		for _, w := range m.by[prefixes[i]] {
			if w.line == l && w.warm == 0 {
				w.warm = int32(i + 1) //nolint:gosec // at most beginnings
				marked = append(marked, w)
			}
		}
	}
	return marked
}
