package keeper

import (
	"fmt"
	"io"

	"rbee.dev/rbee/ops"
)

// explanation prints why a request went where it did: each decision, and what it
// was between.
func explanation(w io.Writer, x ops.Explanation) {
	pair(w, "request", x.JobID)
	pair(w, "model", x.Model)
	pair(w, "client", x.Client+", "+string(x.Priority))
	pair(w, "came", when(x.At))
	if x.WaitedMS >= 1 {
		pair(w, "waited", fmt.Sprintf("%.0f ms", x.WaitedMS))
	}
	pair(w, "failed", x.Error)
	for _, d := range x.Decisions {
		fmt.Fprintf(w, "\n%s\n", decided(d))
		if len(d.Workers)+len(d.Hives) > 0 {
			row(w, "WORKER", "HIVE", "CHOSEN", "WHY")
		}
		for _, c := range append(d.Workers, d.Hives...) {
			chosen := "no"
			if c.Chosen {
				chosen = "yes"
			}
			row(w, c.WorkerID, c.HiveID, chosen, c.Why)
		}
		if d.Omitted > 0 {
			fmt.Fprintf(w, "and %d more\n", d.Omitted)
		}
	}
}

// decided is a decision in a sentence.
func decided(d ops.Decision) string {
	at := d.At.Local().Format("15:04:05.000")
	switch d.Outcome {
	case ops.DecidedWorker:
		return fmt.Sprintf("%s  worker %s on %s got it", at, d.WorkerID, d.HiveID)
	case ops.DecidedStart:
		return fmt.Sprintf("%s  no worker was free: one is started on %s", at, d.HiveID)
	case ops.DecidedWait:
		return at + "  it waits: nobody is free"
	}
	return at + "  " + string(d.Outcome)
}

// drainState prints what draining, or resuming, has come to.
func drainState(w io.Writer, s ops.DrainState) {
	who, undo := "the queen", "`rbee queen resume`"
	if s.HiveID != "" {
		who, undo = "the hive "+s.HiveID, "`rbee hive resume "+s.HiveID+"`"
	}
	if !s.Drained {
		row(w, who+" takes work again")
		return
	}
	row(w, fmt.Sprintf("%s takes no new work; %d requests run there, %d wait; %s undoes this", who, s.Running, s.Waiting, undo))
}

// hiveState is a hive's state in a word or two.
func hiveState(h ops.Hive) string {
	if h.Drained {
		return string(h.State) + ", drained"
	}
	return string(h.State)
}
