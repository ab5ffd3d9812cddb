package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
)

// ServeCmd is `rbee worker serve`.
type ServeCmd struct {
	ID            string   `help:"Name of the worker." required:"" placeholder:"NAME"`
	Hive          string   `help:"Name of the hive it belongs to." default:"localhost" placeholder:"NAME"`
	Model         string   `help:"Name of the model, as clients see it." placeholder:"NAME"`
	Path          string   `help:"The model's GGUF file." placeholder:"FILE"`
	Engine        string   `help:"Engine: auto, llamacpp, builtin or command." default:"auto" placeholder:"NAME"`
	Device        string   `help:"Device: auto, cpu, cuda:0, …" default:"auto" placeholder:"DEVICE"`
	Parallel      int      `help:"Requests run at once, 1 to 64." default:"4" placeholder:"N"`
	ContextLength int      `help:"Tokens per request, prompt and answer together (default: the model's, at most 4096)." placeholder:"TOKENS"`
	Threads       int      `help:"Threads that compute (default: as many as the engine thinks fit)." placeholder:"N"`
	Flags         []string `name:"flag" sep:"none" help:"Setting of the engine's own, as flash-attn=on; once for each." placeholder:"NAME=VALUE"`
	Program       string   `help:"The llama-server that the engine llamacpp runs (default: the one that is found)." placeholder:"FILE"`
	Command       string   `help:"Command line of the engine called command, with {model}, {name}, and {socket} or {port}." placeholder:"LINE"`
	Called        string   `hidden:"" help:"What the engine calls the device, where that is another name."`
	PromptCache   int64    `hidden:"" help:"Bytes of memory to keep prompts in; 0 leaves it to the engine, below 0 is none."`
	Parts         []string `name:"part" hidden:"" help:"Further hive that the model is divided over; once for each."`
	Share         float64  `hidden:"" help:"How much of the weights stay on this machine's CPU then."`
	PartOf        string   `hidden:"" help:"Worker, HIVE/ID, of whose model this one holds a part."`
	PartBytes     uint64   `hidden:"" help:"How much memory that is to take."`
	Folder        string   `help:"Folder for its socket, log and jobs, which must exist (default: one of its own)." placeholder:"PATH"`

	Silence time.Duration `help:"How long an engine may say nothing to requests that wait before it counts as hung and is started again, and a fifth as long do nothing while it starts; 0s is for ever." default:"10m" env:"RBEE_ENGINE_SILENCE" placeholder:"DURATION"`

	// Engines replaces the engines of this build; nil keeps them.
	Engines map[string]Open `kong:"-"`
}

// Help is shown by --help.
func (ServeCmd) Help() string {
	return `Runs one model until Ctrl-C or SIGTERM. Hives start workers by themselves; by
hand it is for looking at one closely.

Example:
  rbee worker serve --id w1 --model tinybee --path tinybee.gguf`
}

// Run serves until the context ends or somebody asks for the end.
func (c *ServeCmd) Run(ctx context.Context, h home.Home, stderr io.Writer) error {
	folder, err := c.prepare(h)
	if err != nil {
		return err
	}
	detached := os.Getenv(daemon.DetachedEnv) != ""
	log, logFile, err := daemon.Logger("worker", filepath.Join(folder, home.WorkerLog), stderr, detached)
	if err != nil {
		return daemon.NotUp(err)
	}
	defer logFile.Close()
	log = log.With().Str("worker", c.ID).Logger()
	w, err := c.open(h, folder)
	if err = daemon.NotUp(err); err != nil {
		if detached { // nobody sees what is returned
			log.Error().Err(err).Str("code", string(ops.CodeOf(err))).Msg("the worker cannot start")
		}
		return err
	}
	w.Log, w.Foreground = log, !detached
	return w.Run(ctx)
}

// prepare checks the flags and returns the worker's folder. Only a folder of
// the worker's own is made: a hive that removed the one it gave wants no worker
// in it any more.
func (c *ServeCmd) prepare(h home.Home) (folder string, err error) {
	if err := (ops.WorkerGet{OnHive: ops.OnHive{HiveID: c.Hive}, ID: c.ID}).Validate(); err != nil {
		return "", err
	}
	if err := (ops.WorkerSpawn{Engine: c.Engine, Device: c.Device, Parallel: c.Parallel, Context: c.ContextLength, Flags: c.Flags, Command: c.Command}).Validate(); err != nil {
		return "", err
	}
	if c.Threads < 0 {
		return "", ops.Invalid("threads", "must not be below 0, got %d", c.Threads)
	}
	if err := daemon.CheckSilence(c.Silence); err != nil {
		return "", err
	}
	if c.PartOf == "" && (c.Model == "" || c.Path == "") {
		return "", ops.Invalid("model", "the model's name and file must be given: --model, --path")
	}
	if c.Model != "" {
		if err := ops.CheckModelID(c.Model); err != nil {
			return "", ops.Invalid("model", "%s", ops.AsError(err).Message)
		}
	}
	if _, err := os.Stat(c.Path); c.Path != "" && errors.Is(err, fs.ErrNotExist) {
		return "", ops.Invalid("path", "there is no file %s", c.Path).WithHint("it is the model's GGUF file; `rbee model get NAME` tells which one a model of the hive's is")
	}
	if c.Folder != "" {
		if folder, err = filepath.Abs(c.Folder); err != nil {
			return "", fmt.Errorf("find the worker's folder: %w", err)
		}
		if at, err := os.Stat(folder); err != nil || !at.IsDir() {
			return "", ops.Invalid("folder", "there is no folder %s", folder)
		}
		return folder, nil
	}
	folder = h.Worker(c.ID)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", daemon.NotUp(fmt.Errorf("make the worker's folder: %w", err))
	}
	return folder, nil
}

func (c *ServeCmd) open(h home.Home, folder string) (*Worker, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the own binary: %w", err)
	}
	build, err := daemon.Build(h, exe)
	if err != nil {
		return nil, err
	}
	table := c.Engines
	if table == nil {
		table = engines()
	}
	return New(Options{
		ID: c.ID, Hive: c.Hive, Model: c.Model, Path: c.Path, Engine: c.Engine, Device: c.Device, Called: c.Called,
		Parallel: c.Parallel, ContextLength: c.ContextLength, Threads: c.Threads, Flags: c.Flags, Command: c.Command, Program: c.Program, Silence: c.Silence,
		PromptCache: c.PromptCache, Parts: c.Parts, Share: c.Share, PartOf: c.PartOf, PartBytes: c.PartBytes, Folder: folder, Engines: table, Binary: exe, Build: build,
	})
}
