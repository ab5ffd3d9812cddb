package queen

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// download brings the model that a reference means onto a hive: the one that is
// named, or for "" the roomiest. Where that has no room on its disk, or cannot be
// reached, the next one is tried. What was chosen between is remembered.
func (q *Queen) download(ctx context.Context, reference, named, device string) (ops.Model, error) {
	_, err := q.asked(named)
	if err == nil {
		err = q.refuseDrained(named)
	}
	if err != nil {
		return ops.Model{}, err
	}
	told := q.schedule.Download(reference)
	defer told.Over()
	lost := map[string]ops.Considered{}
	var failed error
	for {
		seen := q.landings(named, lost)
		chosen := seen[0].HiveID
		if !seen[0].Chosen {
			if failed == nil {
				failed = nowhere(reference, seen)
				told.Decided(ops.Decision{At: time.Now().UTC(), Outcome: ops.DecidedRefused, Hives: seen})
			}
			return ops.Model{}, failed
		}
		if failed != nil {
			ops.Warn(ctx, "model_bring", "%s; trying %s", ops.AsError(failed).Message, chosen)
		}
		if failed = q.lacksDevice(ctx, chosen, device); failed != nil {
			lost[chosen] = ops.Considered{Reason: "device", Why: "it has no device " + device}
			continue
		}
		told.Decided(ops.Decision{At: time.Now().UTC(), Outcome: ops.DecidedDownload, HiveID: chosen, Hives: seen})
		m, reached, err := q.downloadOnto(ctx, chosen, reference)
		if err == nil {
			q.shelved(ctx, m)
			return m, nil
		}
		told.Failed(err)
		switch failed = err; {
		case named != "" || ctx.Err() != nil || reached && !noRoom(err):
			return ops.Model{}, err
		case reached:
			lost[chosen] = ops.Considered{Reason: "disk", Why: "its disk has no room for the model"}
		default:
			lost[chosen] = ops.Considered{Reason: "down", Why: "the hive does not answer"}
		}
	}
}

// lacksDevice is the error of a hive that has not got a device: before the model comes
// that is to run on it. What a hive does not tell is left to the worker's start.
func (q *Queen) lacksDevice(ctx context.Context, hive, device string) error {
	snapshot, up := q.books.snapshot(hive)
	if device == "" || device == "auto" || up && hasDevices(snapshot, device) {
		return nil
	}
	snapshot, err := q.probe(ctx, hive, look{First: true}) // the cards' drivers may have held up the first look
	if err != nil || hasDevices(snapshot, device) {
		return nil
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no device %q on hive %s", device, hive).WithHint("it has: %s", deviceIDs(snapshot))
	e.Field = "device"
	return e
}

// hasDevices reports whether a hive has all of those, with commas between them.
func hasDevices(s ops.HiveSnapshot, ids string) bool {
	for id := range strings.SplitSeq(ids, ",") {
		if id != "cpu" && !slices.ContainsFunc(s.Hive.Devices, func(d ops.Device) bool { return d.ID == id }) {
			return false
		}
	}
	return true
}

func deviceIDs(s ops.HiveSnapshot) string {
	ids := make([]string, len(s.Hive.Devices))
	for i, d := range s.Hive.Devices {
		ids[i] = d.ID
	}
	return strings.Join(ids, ", ")
}

// downloadOnto has a hive download the model; reached says that it could be asked.
func (q *Queen) downloadOnto(ctx context.Context, hive, reference string) (m ops.Model, reached bool, err error) {
	h, err := q.reach(ctx, hive)
	if err != nil {
		return ops.Model{}, false, err
	}
	ops.Narrate(ctx, "model_bring", "no hive has %s: downloading it onto %s", reference, hive)
	o := ops.ModelDownload{OnHive: ops.OnHive{HiveID: hive}, Model: reference}
	m, err = transport.Call(ctx, h.jobs(), o)
	if ops.CodeOf(err) == ops.CodeConflict && !noRoom(err) { // a file of that name is there, from elsewhere; nobody can be asked for another
		o.ID = wholeName(reference)
		ops.Narrate(ctx, "model_name", "%v: this one is going to be called %s", err, o.ID)
		m, err = transport.Call(ctx, h.jobs(), o)
	}
	return m, true, err
}

// noRoom reports whether a hive says that its disk is too full for a model: the text
// is all that comes over the wire.
func noRoom(err error) bool {
	return err != nil && strings.Contains(err.Error(), "there is no room for the model")
}

// nowhere is the error of a model that no hive can take.
func nowhere(reference string, seen []ops.Considered) error {
	why := make([]string, len(seen))
	for i, c := range seen {
		why[i] = c.HiveID + ": " + c.Why
	}
	return ops.Errorf(ops.CodeUnavailable, "no hive can take the model %s now (%s)", reference, strings.Join(why, "; ")).
		WithHint("`rbee hive list` shows the hives")
}

// landings are the hives that a model which none has could be downloaded onto, the
// chosen one first, if there is one: of those that take work the one with the most
// memory on one accelerator, then with the most of its own, the queen's own machine
// first. Those in lost have failed to already.
func (q *Queen) landings(named string, lost map[string]ops.Considered) []ops.Considered {
	list := make([]ops.Considered, 0, len(lost))
	snapshots := map[string]ops.HiveSnapshot{}
	for _, id := range q.books.ids() {
		snapshot, up := q.books.snapshot(id)
		snapshots[id] = snapshot
		c, failed := lost[id]
		switch c.HiveID = id; {
		case failed:
		case named != "" && id != named:
			c.Reason, c.Why = "elsewhere", "the request asks for the hive "+named
		case q.schedule.HiveDrained(id):
			c.Reason, c.Why = "drained", "the hive is drained"
		case !up && id != ops.LocalHive && named == "":
			c.Reason, c.Why = "down", "the hive does not answer"
		default:
			if c.Why = roomOf(snapshot); !up {
				c.Why = "it is down, and is started for this; " + c.Why
			}
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b ops.Considered) int {
		first, second := snapshots[a.HiveID], snapshots[b.HiveID]
		return cmp.Or(
			cmp.Compare(min(len(a.Reason), 1), min(len(b.Reason), 1)),
			cmp.Compare(memory(second, false), memory(first, false)), cmp.Compare(memory(second, true), memory(first, true)),
			cmp.Compare(remoteness(a.HiveID), remoteness(b.HiveID)), cmp.Compare(a.HiveID, b.HiveID),
		)
	})
	if list[0].Reason != "" {
		return list
	}
	list[0].Chosen = true
	best := snapshots[list[0].HiveID]
	for i := range list[1:] {
		c := &list[i+1]
		switch s := snapshots[c.HiveID]; {
		case c.Reason != "":
		case memory(s, false) < memory(best, false) || memory(s, true) < memory(best, true):
			c.Reason, c.Why = "room", c.Why+"; the chosen one has more"
		default:
			c.Why += ", as much; the chosen one comes first by place and name"
		}
	}
	return list
}

// roomOf is the memory of a hive in words.
func roomOf(s ops.HiveSnapshot) string {
	if most := memory(s, false); most > 0 {
		return "its largest accelerator has " + humanize.IBytes(most)
	}
	if most := memory(s, true); most > 0 {
		return "it has " + humanize.IBytes(most) + " of memory, and no accelerator"
	}
	return "its memory is not known"
}

// memory is the most that one device of a hive has, in bytes: of the CPU, or of
// the others.
func memory(s ops.HiveSnapshot, cpu bool) uint64 {
	devices := ops.Accelerators(s.Hive.Devices)
	if cpu {
		devices = slices.DeleteFunc(slices.Clone(s.Hive.Devices), func(d ops.Device) bool { return d.Kind != "cpu" })
	}
	most := uint64(0)
	for _, d := range devices {
		most = max(most, d.MemoryBytes)
	}
	return most
}
