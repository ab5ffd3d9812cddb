package keeper

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"rbee.dev/rbee/ops"
)

// table prints a result for a person.
func (k *Keeper) table(result any) error {
	w := tabwriter.NewWriter(k.Stdout, 0, 8, 2, ' ', 0)
	switch r := result.(type) {
	case ops.QueenReport:
		queenReport(w, r)
	case ops.Hives:
		hives(w, r.Hives)
	case ops.Hive:
		hive(w, r)
	case ops.HiveRemoved:
		row(w, "hive "+r.ID+" is removed")
	case ops.Variables:
		variables(w, r)
	case ops.SSHReport:
		sshReport(w, r)
	case ops.Workers:
		workerList(w, r)
	case ops.Worker:
		worker(w, r)
	case ops.WorkerDeleted:
		row(w, "worker "+r.ID+" on "+r.HiveID+" has ended")
	case ops.Models:
		modelList(w, r)
		defer k.hints(r.Models)
	case ops.Model:
		model(w, r)
	case ops.Alias, ops.Aliases, ops.AliasRemoved:
		aliases(w, r)
	case ops.ModelDeleted:
		row(w, "model "+r.ID+" is deleted from "+r.HiveID+", "+freed(r.Freed))
	case ops.Key, ops.Keys, ops.KeyEnded, ops.UsageReport:
		accessTable(w, r)
	case ops.Engines:
		engines(w, r)
		defer k.engineHints(r.Engines)
	case ops.Engine:
		engine(w, r)
	case ops.EngineRemoved:
		row(w, "engine "+r.ID+" is removed from "+r.HiveID+", "+size(r.Freed)+" are free again")
	case ops.DrainState:
		drainState(w, r)
	case ops.Explanation:
		explanation(w, r)
	case ops.Jobs:
		jobs(w, r.Jobs)
	case ops.Job:
		oneJob(w, r)
	default:
		return fmt.Errorf("there is no table for %T", result)
	}
	return w.Flush()
}

// breaks are what would begin a line or a column.
var breaks = strings.NewReplacer("\r\n", " ", "\n", " ", "\t", " ")

// cell is text from elsewhere as it may stand in a table: it begins no line and no
// column of its own, and plays no tricks.
func cell(text string) string { return ops.Printable(breaks.Replace(text)) }

// row prints cells with tabs between; empty ones show as a dash.
func row(w io.Writer, cells ...string) {
	for i, c := range cells {
		if cells[i] = cell(c); c == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// pair prints one property, unless it is empty.
func pair(w io.Writer, name, value string) {
	if value != "" {
		row(w, name, value)
	}
}

func queenReport(w io.Writer, r ops.QueenReport) {
	pair(w, "queen", fmt.Sprintf("up at %s, pid %d, %s build %s, since %s", r.Address, r.PID, r.Version, r.Build, when(r.StartedAt)))
	if r.Drained {
		pair(w, "drained", isDrained)
	}
	for _, model := range slices.Sorted(maps.Keys(r.Waiting)) {
		verb := "wait"
		if r.Waiting[model] == 1 {
			verb = "waits"
		}
		pair(w, "queue", fmt.Sprintf("%d %s for %s", r.Waiting[model], verb, model))
	}
	counts := make([]string, 0, len(r.Jobs))
	for _, s := range []ops.JobState{ops.JobQueued, ops.JobRunning, ops.JobCompleted, ops.JobFailed, ops.JobCancelled} {
		if n := r.Jobs[s]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, s))
		}
	}
	pair(w, "jobs", strings.Join(counts, ", "))
	pair(w, "log", r.LogPath)
	fmt.Fprintln(w)
	hives(w, r.Hives)
	if len(r.Workers) > 0 {
		fmt.Fprintln(w)
		workers(w, r.Workers)
	}
}

func hives(w io.Writer, list []ops.Hive) {
	head := []string{"HIVE", "STATE", "HOST", "VERSION", "WORKERS", "MODELS", "DEVICES"}
	why := slices.ContainsFunc(list, func(h ops.Hive) bool { return h.Error != "" })
	if why {
		head = append(head, "WHY")
	}
	row(w, head...)
	for _, h := range list {
		host := h.Host
		if host == "" {
			host = "this machine"
		}
		names := make([]string, len(h.Devices))
		for i, d := range h.Devices {
			names[i] = d.ID
		}
		cells := []string{h.ID, hiveState(h), host, h.Version, strconv.Itoa(h.Workers), strconv.Itoa(h.Models), strings.Join(names, " ")}
		if why {
			cells = append(cells, h.Error)
		}
		row(w, cells...)
	}
}

func hive(w io.Writer, h ops.Hive) {
	pair(w, "hive", h.ID)
	pair(w, "state", hiveState(h))
	pair(w, "why", h.Error)
	pair(w, "host", h.Host)
	if h.PID > 0 {
		pair(w, "pid", strconv.Itoa(h.PID))
	}
	pair(w, "version", strings.TrimSpace(h.Version+" "+h.Build))
	pair(w, "workers", strconv.Itoa(h.Workers))
	pair(w, "models", strconv.Itoa(h.Models))
	pair(w, "idle", idleWorkers(h.IdleTimeout))
	if h.StartedAt != nil {
		pair(w, "since", when(*h.StartedAt))
	}
	if h.LastSeen != nil {
		pair(w, "last seen", when(*h.LastSeen))
	}
	pair(w, "log", h.LogPath)
	devices(w, h.Devices)
	for _, p := range h.Problems {
		pair(w, "not usable", p)
	}
}

// idleWorkers says what becomes of workers that have nothing to do.
func idleWorkers(timeout string) string {
	switch timeout {
	case "":
		return ""
	case "0s":
		return "workers that have nothing to do stay, until others need their room"
	}
	return fmt.Sprintf("workers that have nothing to do for %s are unloaded", timeout)
}

func sshReport(w io.Writer, r ops.SSHReport) {
	pair(w, "host", r.Host)
	pair(w, "account", r.User)
	pair(w, "system", r.OS+"/"+r.Architecture)
	devices(w, r.Devices)
	pair(w, "disk", size(int64(r.DiskFreeBytes))+" free") //nolint:gosec // a disk's size
	pair(w, "service", map[string]string{"systemd": "a systemd unit of the account's own", "detached": "a process of its own: there is no systemd for the account"}[r.Service])
	for _, p := range r.Problems {
		pair(w, "in the way", p)
	}
	if len(r.Problems) == 0 {
		pair(w, "in the way", "nothing: a hive can be installed")
	}
}

func devices(w io.Writer, list []ops.Device) {
	for _, d := range list {
		text := d.Name
		if d.Cores > 0 {
			text += fmt.Sprintf(", %d cores", d.Cores)
		}
		if d.MemoryBytes > 0 {
			text += fmt.Sprintf(", %s of %s free", size(int64(d.MemoryFreeBytes)), size(int64(d.MemoryBytes))) //nolint:gosec // memory sizes
		}
		if d.MachineMemoryBytes > 0 {
			text += fmt.Sprintf(" (the machine has %s)", size(int64(d.MachineMemoryBytes))) //nolint:gosec // likewise
		}
		if d.SharesMemory {
			text += ", the machine's own"
		}
		if d.InstructionSets != "" {
			text += ", " + d.InstructionSets
		}
		if d.ComputeCapability != "" {
			text += ", compute capability " + d.ComputeCapability
		}
		if d.DriverVersion != "" {
			text += ", driver " + d.DriverVersion
		}
		pair(w, d.ID, text)
	}
}

func workers(w io.Writer, list []ops.Worker) {
	if len(list) == 0 {
		row(w, "no workers; `rbee worker spawn` starts one, and so does `rbee infer`")
		return
	}
	row(w, "WORKER", "HIVE", "MODEL", "ENGINE", "DEVICE", "STATE", "RUNNING")
	for _, x := range list {
		runs := fmt.Sprintf("%d of %d", x.Running, x.Slots)
		if x.State == ops.WorkerUnknown {
			runs = ""
		}
		row(w, x.ID, x.HiveID, holds(x), x.Engine, x.Device, string(x.State), runs)
	}
}

func workerList(w io.Writer, r ops.Workers) {
	if len(r.Workers) == 0 && len(r.Silent) > 0 {
		noneKnown(w, "workers", r.Silent)
		return
	}
	workers(w, r.Workers)
}

// noneKnown stands for an empty list of which not every hive has told: what would
// bring something cannot be advised.
func noneKnown(w io.Writer, what string, silent []string) {
	row(w, fmt.Sprintf("no %s are known of: %s", what, doNotAnswer(silent)))
}

func doNotAnswer(hives []string) string {
	verb := "does"
	if len(hives) > 1 {
		verb = "do"
	}
	return fmt.Sprintf("%s %s not answer; `rbee hive list` says why", strings.Join(hives, ", "), verb)
}

// holds is a worker's model, as far as it has it.
func holds(x ops.Worker) string {
	switch {
	case x.PartOf != "":
		return "part of " + x.PartOf
	case len(x.Parts) > 0:
		return x.Model + " with " + strings.Join(x.Parts, ",")
	}
	return x.Model
}

func worker(w io.Writer, x ops.Worker) {
	pair(w, "worker", x.ID)
	pair(w, "hive", x.HiveID)
	pair(w, "model", x.Model)
	pair(w, "parts on", strings.Join(x.Parts, ", "))
	pair(w, "part of", x.PartOf)
	pair(w, "engine", x.Engine)
	pair(w, "device", x.Device)
	pair(w, "state", string(x.State))
	pair(w, "why", x.Error)
	if x.State == ops.WorkerHung {
		pair(w, "what to do", ops.HungHint(x.ID, x.HiveID))
	}
	pair(w, "loading", x.Waiting)
	pair(w, "running", fmt.Sprintf("%d of %d", x.Running, x.Slots))
	if x.Context > 0 {
		pair(w, "context", strconv.Itoa(x.Context)+" tokens")
	}
	pair(w, "flags", strings.Join(x.Flags, ", "))
	pair(w, "command", x.Command)
	if x.PID > 0 {
		pair(w, "pid", strconv.Itoa(x.PID))
	}
	if x.PromptCache > 0 {
		pair(w, "prompt cache", "up to "+size(x.PromptCache))
	}
	pair(w, "since", when(x.StartedAt))
	if x.UnloadsAt != nil {
		pair(w, "unloaded", when(*x.UnloadsAt)+", if it gets nothing to do")
	}
	pair(w, "program", x.Program)
	pair(w, "log", x.LogPath)
}

func model(w io.Writer, m ops.Model) {
	pair(w, "model", m.ID)
	pair(w, "also called", strings.Join(m.Aliases, ", "))
	if m.Refused == "" {
		pair(w, "can do", join(m.Abilities))
	}
	pair(w, "hive", m.HiveID)
	pair(w, "cannot be used", m.Error)
	pair(w, "cannot run", m.Refused)
	pair(w, "what to do", m.Hint)
	if m.Pinned {
		pair(w, "pinned", "its workers are not unloaded by themselves")
	}
	if m.Size > 0 {
		pair(w, "size", size(m.Size))
	}
	pair(w, "quantization", m.Quantization)
	pair(w, "architecture", m.Architecture)
	if m.Parameters > 0 {
		pair(w, "parameters", fmt.Sprintf("%.3g million", float64(m.Parameters)/1e6))
	}
	if m.Context > 0 {
		pair(w, "context", strconv.Itoa(m.Context)+" tokens")
	}
	if m.Memory > 0 {
		pair(w, "memory", memory(m)+" to run it as usual")
	}
	pair(w, "source", m.Source)
	pair(w, "sha256", m.SHA256)
	for _, f := range m.Files {
		pair(w, "its file", fmt.Sprintf("%s, %s, sha256 %s", f.Name, size(f.Size), f.SHA256))
	}
	pair(w, "added", when(m.AddedAt))
	pair(w, "file", m.Path)
}

// memory is about how much a model takes to run, or "".
func memory(m ops.Model) string {
	if m.Memory <= 0 {
		return ""
	}
	return size(m.Memory)
}

// aliases shows what operations on aliases return.
func aliases(w io.Writer, result any) {
	switch r := result.(type) {
	case ops.Alias:
		row(w, r.Alias+" means "+r.Model+" now")
	case ops.AliasRemoved:
		row(w, "the alias "+r.Alias+" is removed")
	case ops.Aliases:
		if len(r.Aliases) == 0 {
			row(w, "no aliases; `rbee model alias NAME MODEL` makes one")
			return
		}
		row(w, "ALIAS", "MODEL", "NOTE")
		for _, a := range r.Aliases {
			note := ""
			if a.Missing {
				note = "no hive has this model"
				if ops.IsModelReference(a.Model) {
					note += ", and requests do not bring it"
				}
			}
			row(w, a.Alias, a.Model, note)
		}
	}
}

func jobs(w io.Writer, list []ops.Job) {
	if len(list) == 0 {
		row(w, "no jobs; finished ones are forgotten after an hour")
		return
	}
	row(w, "JOB", "OPERATION", "STATE", "CREATED", "TOOK")
	for _, j := range list {
		row(w, j.ID, j.Operation, string(j.State), when(j.CreatedAt), took(j))
	}
}

func oneJob(w io.Writer, j ops.Job) {
	pair(w, "job", j.ID)
	pair(w, "operation", j.Operation)
	pair(w, "by key", j.By)
	asked(w, j.Op)
	pair(w, "state", string(j.State))
	if j.Error != nil {
		pair(w, "error", j.Error.Error())
		pair(w, "what to do", j.Error.Hint)
	}
	pair(w, "events", strconv.FormatUint(j.Events, 10))
	pair(w, "created", when(j.CreatedAt))
	pair(w, "took", took(j))
}

// asked prints what a job was asked for, a field a line.
func asked(w io.Writer, op json.RawMessage) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(op, &fields) != nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if name == "operation" || name == "job_id" {
			continue
		}
		var text string
		if json.Unmarshal(fields[name], &text) != nil {
			text = string(fields[name]) // a number, a truth value or a list of texts
		}
		pair(w, strings.ReplaceAll(name, "_", " "), oneLine(text))
	}
}

// oneLine is a text on one line of a table, cut where it is long.
func oneLine(text string) string {
	const most = 100 // characters
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// took is how long a job ran, or has run so far.
func took(j ops.Job) string {
	if j.StartedAt == nil {
		return ""
	}
	end := time.Now()
	if j.FinishedAt != nil {
		end = *j.FinishedAt
	}
	return end.Sub(*j.StartedAt).Round(time.Millisecond).String()
}

// when is a time of day for a person, "" for the zero time.
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

// size is a number of bytes for a person, in powers of 1024.
func size(n int64) string {
	f, unit := float64(n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, u
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

// freed says how much a model's end has freed, in bytes.
func freed(bytes int64) string {
	if bytes == 0 {
		return "and next to nothing is free again: it was empty or a link, or another model has the same file"
	}
	return size(bytes) + " are free again"
}
