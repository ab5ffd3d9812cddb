package hive

import (
	"fmt"
	"slices"
	"strings"

	"rbee.dev/rbee/ops"
)

// stays says which workers in the spot are not unloaded to make room, and why: for
// somebody whose model would fit in their place. Without that, would being false,
// only parts of other hives' models are told of. It is the end of a hint, or empty.
func (h *Hive) stays(s spot, would bool) (text string) {
	var pinned, busy []string
	for _, m := range h.fleet.all() {
		i := m.tell()
		switch {
		case i.State == ops.WorkerFailed || !s.shares(i.Device):
		case i.PartOf != "": // a hive cannot tell whether it has anything to do
			hive, id := ops.SplitPartOf(i.PartOf)
			text += fmt.Sprintf("; a part of a divided model is here, which `rbee worker delete %s --hive %s` ends", id, hive)
		case h.models.pinned(i.Model):
			pinned = append(pinned, i.Model)
		case !m.isIdle():
			busy = append(busy, fmt.Sprintf("%s (%s)", i.ID, i.Model))
		}
	}
	if slices.Sort(pinned); len(pinned) > 0 && would {
		pinned = slices.Compact(pinned)
		others := ""
		if len(pinned) > 1 {
			others = ", and so for the others"
		}
		text += fmt.Sprintf("; pinned models are not unloaded: %s (`rbee model unpin %s%s` changes that%s)", listed(pinned), pinned[0], ops.HiveFlag(h.Name), others)
	}
	if slices.Sort(busy); len(busy) > 0 && would {
		text += "; busy workers are not unloaded: " + listed(busy)
	}
	return text
}

// mostListed is how many names a hint has.
const mostListed = 5

// listed is a list of names, shortened where it is long.
func listed(names []string) string {
	if more := len(names) - mostListed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:mostListed], ", "), more)
	}
	return strings.Join(names, ", ")
}
