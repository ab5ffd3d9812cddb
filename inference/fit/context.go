package fit

import "sort"

// Longest is the longest context, in tokens, with which the model takes no more
// than free bytes: a multiple of 256, at most the run's own. It is 0 where not
// even the shortest does.
func (m Model) Longest(r Run, free uint64) int {
	steps := max(0, r.Context) / cells
	return cells * sort.Search(steps, func(i int) bool {
		r := r
		r.Context = (i + 1) * cells
		return m.Need(r).Total() > free
	})
}
