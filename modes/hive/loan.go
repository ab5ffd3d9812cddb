package hive

import (
	"slices"

	"rbee.dev/rbee/ops"
)

// loan is a model's file on its way to another hive.
type loan struct {
	hive string // that gets it, or ""
	job  string // it is for, or ""
}

// lend notes that a file of a model is on its way, until the function that it
// returns is called.
func (m *models) lend(id string, l loan) (over func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lent[id] = append(m.lent[id], l)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		i := slices.Index(m.lent[id], l)
		if m.lent[id] = slices.Delete(m.lent[id], i, i+1); len(m.lent[id]) == 0 {
			delete(m.lent, id)
		}
	}
}

// unlent refuses what would break a copy of the model that is being made.
func (m *models) unlent(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.lent[id]) == 0 {
		return nil
	}
	l := m.lent[id][0]
	e := ops.Errorf(ops.CodeConflict, "the model %s is being copied to hive %s", id, l.hive)
	if l.job == "" {
		return e.WithHint("`rbee job list` shows the job that it is for, and `rbee job cancel` ends that")
	}
	return e.WithHint("`rbee job follow %s` shows how far that is, `rbee job cancel %s` ends it", l.job, l.job)
}
