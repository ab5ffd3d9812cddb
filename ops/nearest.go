package ops

import (
	"cmp"
	"slices"
	"strings"
)

// Nearest returns the candidate that s was most likely meant to be: the one that
// s is but for a tag behind a colon, as bee:latest for bee; the one that s is the beginning of if it is the only one, else the one that differs least,
// or "" when more than a third of its letters do.
func Nearest(s string, candidates []string) string {
	if base, _, tagged := strings.Cut(s, ":"); tagged && slices.Contains(candidates, base) {
		return base
	}
	best, bestDistance := "", 1<<30
	prefixed := ""
	prefixes := 0
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(s), strings.ToLower(c)); d < bestDistance && d <= max(1, len(c)/3) {
			best, bestDistance = c, d
		}
		if s != "" && strings.HasPrefix(strings.ToLower(c), strings.ToLower(s)) {
			prefixed = c
			prefixes++
		}
	}
	if prefixes == 1 {
		return prefixed
	}
	return best
}

// NearestNames returns up to three candidates that s may have been meant to be,
// the likeliest first: [Nearest], and those that differ in no more than a third
// of their letters, each once.
func NearestNames(s string, candidates []string) []string {
	type near struct {
		name     string
		distance int
	}
	var list []near
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(s), strings.ToLower(c)); d <= max(1, len(c)/3) {
			list = append(list, near{c, d})
		}
	}
	slices.SortStableFunc(list, func(a, b near) int { return cmp.Compare(a.distance, b.distance) })
	names := []string{}
	if best := Nearest(s, candidates); best != "" {
		names = append(names, best)
	}
	for _, n := range list {
		if !slices.Contains(names, n.name) {
			names = append(names, n.name)
		}
	}
	return names[:min(len(names), 3)]
}

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b (optimal string alignment). Long inputs are cut:
// nobody mistypes a kilobyte.
func editDistance(a, b string) int {
	a, b = a[:min(len(a), 256)], b[:min(len(b), 256)]
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := last[j]
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
