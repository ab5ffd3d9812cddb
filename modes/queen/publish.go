package queen

import (
	"context"
	"slices"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// publishEvery is the least time from one published state to the next: hives change
// with each request, and only the newest counts.
const publishEvery = 250 * time.Millisecond

// publishing publishes what the queen knows after each change, while somebody watches,
// until ctx ends.
func (q *Queen) publishing(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.books.changed:
		}
		q.jobs.Refresh()
		select {
		case <-ctx.Done():
			return
		case <-time.After(publishEvery):
		}
	}
}

// snapshot is what the queen knows of her hives.
func (q *Queen) snapshot() ops.QueenSnapshot {
	s := ops.QueenSnapshot{Hives: []ops.Hive{}, Workers: q.allWorkers(), Models: q.books.models()}
	for _, id := range q.books.ids() {
		if h, ok := q.hiveNow(id); ok {
			s.Hives = append(s.Hives, h)
		}
	}
	slices.SortFunc(s.Hives, func(a, b ops.Hive) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(s.Workers, func(a, b ops.Worker) int { return strings.Compare(a.HiveID+"/"+a.ID, b.HiveID+"/"+b.ID) })
	slices.SortFunc(s.Models, func(a, b ops.Model) int { return strings.Compare(a.HiveID+"/"+a.ID, b.HiveID+"/"+b.ID) })
	return s
}
