package keeper

import (
	"fmt"
	"io"
	"time"

	"rbee.dev/rbee/ops"
)

// explanation prints why a request went where it did: each decision, and what it
// was between.
func explanation(w io.Writer, x ops.Explanation) {
	pair(w, "request", x.JobID)
	pair(w, "model", x.Model)
	pair(w, "asked for", askedFor(x))
	pair(w, "client", called(whose(x.Client), x.KeyName))
	pair(w, "priority", string(x.Priority))
	pair(w, "came", when(x.At))
	pair(w, "waited", waited(x))
	pair(w, "ended", over(x))
	pair(w, "error", x.Error)
	pair(w, "hint", x.Hint)
	if len(x.Decisions) == 0 && x.Asked != "" && x.Model == "" && x.Error == "" {
		fmt.Fprintln(w, "\nit waits until the model is there")
	}
	for _, d := range x.Decisions {
		fmt.Fprintf(w, "\n%s\n", d.At.Local().Format("15:04:05.000")+"  "+cell(decided(x, d)))
		for _, note := range d.Notes {
			fmt.Fprintln(w, "              "+cell(note))
		}
		if d.Failed != "" {
			fmt.Fprintln(w, "              it failed: "+cell(d.Failed))
		}
		if len(d.Workers) > 0 {
			row(w, "WORKER", "HIVE", "CHOSEN", "WHY")
		}
		for _, c := range d.Workers {
			row(w, c.WorkerID, c.HiveID, chosen(c), c.Why)
		}
		if len(d.Workers) > 0 && len(d.Hives) > 0 {
			fmt.Fprintln(w)
		}
		if len(d.Hives) > 0 {
			row(w, "HIVE", "CHOSEN", "WHY")
		}
		for _, c := range d.Hives {
			row(w, c.HiveID, chosen(c), c.Why)
		}
		if d.Omitted > 0 {
			fmt.Fprintf(w, "and %d more\n", d.Omitted)
		}
	}
}

// bringing is how long a model that was asked for by where it comes from must have
// been waited for, in milliseconds, to be told of: one that is there takes no time.
const bringing = 100

// askedFor is what the request called its model, where that is not its name.
func askedFor(x ops.Explanation) string {
	text := x.Asked
	switch {
	case x.Alias != "" && x.Asked == "":
		text = x.Alias + ", an alias"
	case x.Alias != "":
		text = x.Alias + ", an alias of " + x.Asked
	}
	if x.FoundMS < bringing {
		return text
	}
	return fmt.Sprintf("%s, which took %s to bring", text, time.Duration(x.FoundMS*float64(time.Millisecond)).Round(10*time.Millisecond))
}

// over is how the request was over.
func over(x ops.Explanation) string {
	if x.Ended == "" && x.Waits {
		return ""
	}
	text, ok := map[ops.Ended]string{
		"": "not yet", ops.EndedDone: "done", ops.EndedFailed: "with an error", ops.EndedBroken: "its answer broke off, with an error",
		ops.EndedGone: "its client went away", ops.EndedCancelled: "it was cancelled", ops.EndedLost: "nobody knows: the queen ended before it did",
	}[x.Ended]
	if !ok {
		text = string(x.Ended)
	}
	if x.TookMS > 0 {
		text += ", after " + briefly(x.TookMS)
	}
	if n := moved(x.Decisions); n > 0 {
		text += fmt.Sprintf("; %s failed it before the last one", either(n, "1 worker", "workers"))
	}
	return text
}

// moved is how many workers have failed a request that another one got then.
func moved(list []ops.Decision) (n int) {
	failed := 0
	for _, d := range list {
		if d.Outcome != ops.DecidedWorker {
			continue
		}
		n = failed
		if d.Failed != "" {
			failed++
		}
	}
	return n
}

// briefly is a time in milliseconds as a person reads it.
func briefly(millis float64) string {
	took := time.Duration(millis * float64(time.Millisecond))
	if took < time.Second {
		return fmt.Sprintf("%d ms", took.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", took.Seconds())
}

// whose is a client in words: that of the queen's own token has no name.
func whose(client string) string {
	if client == ops.ByToken {
		return "the queen's token"
	}
	return client
}

func chosen(c ops.Considered) string {
	if c.Chosen {
		return "yes"
	}
	return "no"
}

// waited is how long the request has waited, and where in the queue.
func waited(x ops.Explanation) string {
	text, then := briefly(x.WaitedMS), ""
	if x.FoundMS >= bringing {
		then = " once its model was there"
	}
	switch {
	case x.Waits:
		return fmt.Sprintf("%s so far, place %d of %d in the queue", text, x.Place, x.Waiting)
	case x.Waiting > 1:
		return fmt.Sprintf("%s, from place %d of %d in the queue%s", text, x.Place, x.Waiting, then)
	case x.WaitedMS >= 1:
		return text
	}
	return ""
}

// decided is a decision in a sentence.
func decided(x ops.Explanation, d ops.Decision) string {
	switch d.Outcome {
	case ops.DecidedWorker:
		return fmt.Sprintf("worker %s on %s got it", d.WorkerID, d.HiveID)
	case ops.DecidedDownload:
		return "no hive had the model: it is downloaded onto " + d.HiveID
	case ops.DecidedStart:
		if x.Spawn {
			return "a worker is to be started: on " + d.HiveID
		}
		return fmt.Sprintf("%s: one is started on %s", none(d, "was"), d.HiveID)
	case ops.DecidedRoom:
		return fmt.Sprintf("it has waited long enough: busy workers on %s make room for it", d.HiveID)
	case ops.DecidedRefused:
		switch {
		case x.Spawn:
			return "no hive can start a worker: it was refused"
		case x.Asked != "" && x.Model == "":
			return "no hive can take the model: it was refused"
		case len(d.Hives) == 0 && len(d.Workers) > 0:
			return "no other worker runs the model, and none is started for what an engine has failed"
		}
		return "no worker can do it, and no hive can start one: it was refused"
	case ops.DecidedFull:
		return "as many wait for the model as may: it was refused"
	case ops.DecidedMadeWay:
		return "as many wait for the model as may: it made way"
	case ops.DecidedWait:
		switch {
		case d.Coming:
			return "it waits for a worker that is being started"
		case x.Waits && x.Place > 1:
			return fmt.Sprintf("it waits its turn, behind %s: %s, and no hive can start one now", either(x.Place-1, "one other", "others"), none(d, "is"))
		}
		return fmt.Sprintf("it waits: %s, and no hive can start one now", none(d, "is"))
	}
	return string(d.Outcome)
}

// none says that no worker was to be had, or that there is none at all.
func none(d ops.Decision, is string) string {
	if len(d.Workers) == 0 {
		return "no worker has the model"
	}
	return "no worker " + is + " free"
}

// drainState prints what draining, or resuming, has come to.
func drainState(w io.Writer, s ops.DrainState) {
	who, undo, there, waits := "the queen", "`rbee queen resume`", "", ""
	if s.HiveID != "" {
		who, undo, there, waits = "the hive "+s.HiveID, "`rbee hive resume "+s.HiveID+"`", " there", " for its workers"
	}
	if !s.Drained {
		row(w, who+" takes work again")
		return
	}
	row(w, fmt.Sprintf("%s takes no new work; %s%s, %s%s; %s undoes this", who,
		either(s.Running, "1 request runs", "requests run"), there, either(s.Waiting, "1 waits", "wait"), waits, undo))
}

// isDrained is what a queen that is drained does.
const isDrained = "it takes no new work; `rbee queen resume` has it take work again"

// either is one in words, or so many.
func either(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// hiveState is a hive's state in a word or two.
func hiveState(h ops.Hive) string {
	if h.Drained {
		return string(h.State) + ", drained"
	}
	return string(h.State)
}
