package queen

import (
	"sync"

	"rbee.dev/rbee/ops"
)

// reserved is the names of hives that something is being done to on their
// machines: one thing at a time.
type reserved struct {
	mu    sync.Mutex
	names map[string]bool
}

// take reserves a name until release is called.
func (r *reserved) take(name string) (release func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names[name] {
		return nil, ops.Errorf(ops.CodeConflict, "the hive %s is being installed or changed by another job", name).
			WithHint("`rbee job list` shows it; wait for its end, or cancel it")
	}
	if r.names == nil {
		r.names = map[string]bool{}
	}
	r.names[name] = true
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.names, name)
	}, nil
}
