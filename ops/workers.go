package ops

import (
	"context"
	"time"
)

// WorkerState is where a worker is in its life.
type WorkerState string

// The states of a worker.
const (
	WorkerLoading WorkerState = "loading" // the engine reads the model
	WorkerReady   WorkerState = "ready"   // has a free slot
	WorkerBusy    WorkerState = "busy"    // every slot is taken; more requests queue
	WorkerHung    WorkerState = "hung"    // its process runs and does not answer; Error says so
	WorkerFailed  WorkerState = "failed"  // it ended by itself; Error says why
	WorkerUnknown WorkerState = "unknown" // its hive does not answer; it is as that said last, and may run
)

// Worker is one process that runs one model on one engine.
type Worker struct {
	ID      string      `json:"id"`
	HiveID  string      `json:"hive_id"`
	Model   string      `json:"model"`
	Engine  string      `json:"worker"` // the engine's name: builtin, …
	Device  string      `json:"device"`
	State   WorkerState `json:"state"`
	PID     int         `json:"pid,omitempty"`
	Slots   int         `json:"slots"`                    // requests it runs at once
	Running int         `json:"running"`                  // requests it runs now
	Context int         `json:"context_length,omitempty"` // tokens a slot holds; 0 until loaded, or not known
	Error   string      `json:"error,omitempty"`
	// FailedStarts is how often in a row its engine, which had run before, could not
	// be started again; 0 once it can be used.
	FailedStarts int       `json:"failed_starts,omitempty"`
	Waiting      string    `json:"waiting,omitempty"` // what loading waits for, where it takes long; for a person
	StartedAt    time.Time `json:"started_at"`
	// UnloadsAt is when it is unloaded if it gets nothing to do; absent is never.
	UnloadsAt *time.Time `json:"unloads_at,omitempty"`
	LogPath   string     `json:"log_path,omitempty"` // on the hive's machine
	Program   string     `json:"program,omitempty"`  // that the engine runs, a path on the hive's machine
	// PromptCache is how many bytes of the machine's memory the engine may fill with
	// prompts that it has seen, for when they come again; 0 is none, or not known.
	PromptCache int64 `json:"prompt_cache_bytes,omitempty"`
	// Flags are the settings of the engine's own that it was started with, as of [WorkerSpawn].
	Flags []string `json:"flags,omitempty"`
	// Command is its command line, on the engine called command, without the passwords
	// of URLs in it. An API key is not told it.
	Command string `json:"command,omitempty"`
	// Parts are the further hives that the model is divided over; each has a
	// worker of which PartOf is this one.
	Parts []string `json:"parts,omitempty"`
	// PartOf is the worker, as HIVE/ID, of whose model this one holds a part. It
	// takes no requests of its own, and ends with that one.
	PartOf string `json:"part_of,omitempty"`
	// PartBytes is how much memory the part is to hold, in bytes; 0 is not known.
	PartBytes uint64 `json:"part_bytes,omitempty"`
}

// brokenAfter is how often in a row an engine that has ended may fail to start
// before others are to do without it.
const brokenAfter = 2

// Broken reports whether the worker hangs, or its engine cannot be started again, as
// far as one can tell: it may come back, and until then nobody should wait for it. A
// divided model, which waits for its parts, is not broken.
func (w *Worker) Broken() bool {
	return w.State == WorkerHung || w.State == WorkerLoading && w.FailedStarts >= brokenAfter && len(w.Parts) == 0
}

// HungHint is what to do about a worker that hangs.
func HungHint(worker, hive string) string {
	return "`rbee worker delete " + worker + HiveFlag(hive) + "` ends it; it is used again where it comes to itself"
}

// Workers is the answer to [WorkerList].
type Workers struct {
	Workers []Worker `json:"workers"`
	// Silent are the hives that did not answer, of which the list is what they said last.
	Silent []string `json:"silent_hives,omitempty"`
}

// WorkerDeleted is the answer to [WorkerDelete].
type WorkerDeleted struct {
	ID     string `json:"id"`
	HiveID string `json:"hive_id"`
}

// WorkerSpawn starts a worker and waits until its model is loaded.
type WorkerSpawn struct {
	op[Worker] `kong:"-" json:"-"`
	OnHive
	// Model is a model of the hive's; empty takes the hive's default (see
	// [Infer]).
	Model string `json:"model,omitempty" arg:"" optional:"" help:"Model to load (default: as for infer)."`
	// Engine is the engine to run it on: auto or the name of one.
	Engine string `json:"worker,omitempty" name:"engine" aliases:"worker" placeholder:"NAME" help:"Engine: auto, llamacpp, builtin or command."`
	// Device is what to run it on: auto, cpu, cuda:0, ….
	Device string `json:"device,omitempty" placeholder:"DEVICE" help:"Device: auto, cpu, cuda:0, …"`
	// Parallel is how many requests it runs at once, 1 to 64; 0 means 4.
	Parallel int `json:"parallel,omitempty" placeholder:"N" help:"Requests run at once, 1 to 64; 0 is the default, 4."`
	// Context is how many tokens each request may hold, prompt and answer
	// together; 0 means the model's own length, but at most 4096.
	Context int `json:"context_length,omitempty" name:"context-length" placeholder:"TOKENS" help:"Tokens per request, prompt and answer together; 0 is the default, the model's, at most 4096."`
	// Flags are settings of the engine's own, each name or name=value, 64 at
	// most; an engine refuses those that it does not take.
	Flags []string `json:"flags,omitempty" name:"flag" sep:"none" placeholder:"NAME=VALUE" help:"Setting of the engine's own, as flash-attn=on; once for each."`
	// Command is the command line of the engine called command, which starts a
	// server of OpenAI's API: {model} in it stands for the model's file, {name}
	// for its name, and {socket} for where to listen, or {port} with {api_key}.
	Command string `json:"command,omitempty" placeholder:"LINE" help:"Command line of the engine called command, with {model}, {name}, and {socket}, or {port} and {api_key}; also {context_length}, {parallel}, {threads}."`
	Split
}

// Name returns "worker_spawn".
func (WorkerSpawn) Name() string { return "worker_spawn" }

// Validate checks names and ranges.
func (o WorkerSpawn) Validate() error {
	return firstError(
		checkName("hive_id", o.HiveID), checkModelName(o.Model), checkEngine(o.Engine), checkDevice(o.Device),
		checkCount("parallel", o.Parallel, 64), checkCount("context_length", o.Context, 1<<20),
		checkFlags(o.Flags), checkCommand(o.Engine, o.Command), o.check(o.HiveID, o.Engine))
}

func (o WorkerSpawn) onHive(ctx context.Context, h HiveHandler) (any, error) {
	r, err := h.WorkerSpawn(ctx, o)
	return done(o, r, err)
}

// WorkerList lists workers, of one hive or of all.
type WorkerList struct {
	op[Workers] `kong:"-" json:"-"`
	OnHive
}

// Name returns "worker_list".
func (WorkerList) Name() string { return "worker_list" }

// Validate checks the hive's name.
func (o WorkerList) Validate() error { return checkName("hive_id", o.HiveID) }

func (o WorkerList) onHive(ctx context.Context, h HiveHandler) (any, error) {
	r, err := h.WorkerList(ctx, o)
	return done(o, r, err)
}

// WorkerGet shows one worker.
type WorkerGet struct {
	op[Worker] `kong:"-" json:"-"`
	OnHive
	// ID is the worker's id.
	ID string `json:"id" arg:"" help:"Worker's id."`
}

// Name returns "worker_get".
func (WorkerGet) Name() string { return "worker_get" }

// Validate wants an id.
func (o WorkerGet) Validate() error {
	return firstError(checkName("hive_id", o.HiveID), checkRequired("id", o.ID), checkName("id", o.ID))
}

func (o WorkerGet) onHive(ctx context.Context, h HiveHandler) (any, error) {
	r, err := h.WorkerGet(ctx, o)
	return done(o, r, err)
}

// WorkerDelete ends a worker; what it is answering fails.
type WorkerDelete struct {
	op[WorkerDeleted] `kong:"-" json:"-"`
	OnHive
	// ID is the worker's id.
	ID string `json:"id" arg:"" help:"Worker's id."`
	// IfIdle ends it only where it has nothing to do and its model is not pinned; else
	// that is a conflict. It is unloaded then: the next request has it come back as it
	// was started.
	IfIdle bool `json:"if_idle,omitempty" help:"Unload it: only where it has nothing to do, and its model is not pinned; it comes back as it was."`
}

// Name returns "worker_delete".
func (WorkerDelete) Name() string { return "worker_delete" }

// Validate wants an id.
func (o WorkerDelete) Validate() error {
	return firstError(checkName("hive_id", o.HiveID), checkRequired("id", o.ID), checkName("id", o.ID))
}

func (o WorkerDelete) onHive(ctx context.Context, h HiveHandler) (any, error) {
	r, err := h.WorkerDelete(ctx, o)
	return done(o, r, err)
}
