package schedule

import (
	"cmp"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// Request is what somebody wants done.
type Request struct {
	// Job names it for [Scheduler.Explain]; "" is not remembered.
	Job string
	// Model is the model to answer; empty takes the one that was added last, or
	// the built-in one.
	Model string
	// Alias is the name that was asked for, where Model is what it means.
	Alias string
	// Client is whose it is. Clients get their turns by it.
	Client string
	// Priority is interactive or batch; empty is interactive.
	Priority ops.Priority
	// Prefixes are what [Prefixes] made of the prompt's beginning.
	Prefixes []uint64
	// Hive, Engine and Device narrow the choice; empty, and auto, do not.
	Hive, Engine, Device string
	// Without are workers that have failed it already.
	Without map[Key]bool
	// Route is what it asks workers for. One that has not got it is not to blame for the
	// rest of what it does.
	Route string
	// Refused are hives that would not start a worker for it.
	Refused map[string]bool
	// Again says that it was let in before, and is tried again: it is not sent
	// away because too many wait.
	Again bool
	// Came is when it came to an earlier queen: it waits in its old place then. The
	// zero time is of one that comes now.
	Came time.Time
	// Running says that only workers that there are will do: none is started.
	Running bool

	lacked  map[Key]bool // of Without, those that have not got the route
	doubted map[Key]bool // those that broke off once, see [Scheduler.Doubt]

	spawn bool // a worker is wanted beside those that there are
	added bool // the model was not named, and is the one added last
}

// Key names a worker within the fleet.
type Key struct{ Hive, Worker string }

// KeyOf is the worker's key.
func KeyOf(w ops.Worker) Key { return Key{w.HiveID, w.ID} }

// Exclude notes that a worker has failed it with err.
func (r *Request) Exclude(k Key, err error) {
	if r.Without == nil {
		r.Without, r.lacked = map[Key]bool{}, map[Key]bool{}
	}
	r.Without[k], r.lacked[k] = true, ops.CodeOf(err) == ops.CodeUnsupported
}

// pardon has r take the workers of a hive again: that is down, and not they, has failed it.
func (r *Request) pardon(h *hive) {
	for k := range r.Without {
		if k.Hive == h.id {
			delete(r.Without, k)
		}
	}
}

// narrow reports whether not every worker of the model will do.
func (r *Request) narrow() bool {
	return r.Hive != "" || asks(r.Engine) || asks(r.Device) || len(r.Without) > 0
}

// narrowed says what the request asks for, of a worker or hive that is not that.
func (r *Request) narrowed() string {
	var list []string
	if r.Hive != "" {
		list = append(list, "the hive "+r.Hive)
	}
	if asks(r.Engine) {
		list = append(list, "the engine "+r.Engine)
	}
	if asks(r.Device) {
		list = append(list, "the device "+r.Device)
	}
	return "the request asks for " + strings.Join(list, " and ")
}

func asks(choice string) bool { return choice != "" && choice != "auto" }

// fits reports whether a worker with that engine on that device will do.
func (r *Request) fits(engine, device string) bool {
	return (!asks(r.Engine) || r.Engine == engine) && (!asks(r.Device) || r.Device == device)
}

// mayBe reports whether a worker of that hive will do.
func (r *Request) mayBe(h *hive) bool { return r.Hive == "" || r.Hive == h.id }

func (r *Request) priority() ops.Priority { return cmp.Or(r.Priority, ops.Interactive) }
