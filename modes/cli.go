package modes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"rbee.dev/rbee/modes/daemons"
	"rbee.dev/rbee/modes/hive"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/modes/keeper"
	"rbee.dev/rbee/modes/queen"
	"rbee.dev/rbee/modes/worker"
	"rbee.dev/rbee/ops"
)

// cli is the command tree.
type cli struct {
	keeper.Flags
	Version versionFlag `help:"Print the version."`

	Infer   keeper.Infer                                   `cmd:"" help:"Generate text from a prompt."`
	Chat    keeper.Chat                                    `cmd:"" help:"Talk with a model."`
	Status  keeper.Operation[ops.Status, ops.QueenReport]  `cmd:"" help:"Show the queen, its hives and their workers."`
	Explain keeper.Operation[ops.Explain, ops.Explanation] `cmd:"" help:"Tell why a job or request went where it did."`
	Queen   queenCommands                                  `cmd:"" help:"The queen: the one address that clients talk to."`
	Hive    hiveCommands                                   `cmd:"" help:"Hives: the machines."`
	Worker  workerCommands                                 `cmd:"" help:"Workers: processes that run one model each."`
	Model   modelCommands                                  `cmd:"" help:"Models on the hives' disks."`
	Engine  engineCommands                                 `cmd:"" help:"Engines: what workers run models on."`
	Job     jobCommands                                    `cmd:"" help:"Jobs: what the queen does or did."`
	Key     keyCommands                                    `cmd:"" help:"API keys: who may use the queen."`
	Usage   keeper.Operation[ops.Usage, ops.UsageReport]   `cmd:"" help:"Show who has used which models, and how much."`
}

type queenCommands struct {
	Serve   queen.ServeCmd                                    `cmd:"" help:"Run the queen in the foreground."`
	Start   keeper.QueenStart                                 `cmd:"" help:"Start the queen in the background."`
	Stop    keeper.QueenStop                                  `cmd:"" help:"End the queen, its hive and the hive's workers."`
	Restart keeper.QueenRestart                               `cmd:"" help:"Replace the running queen by this build; jobs go on."`
	Status  keeper.QueenStatus                                `cmd:"" help:"Tell whether the queen runs, and where its logs are."`
	Drain   keeper.Operation[ops.QueenDrain, ops.DrainState]  `cmd:"" help:"Take no new requests and start no workers for them; what runs is finished. Downloads go on."`
	Resume  keeper.Operation[ops.QueenResume, ops.DrainState] `cmd:"" help:"Take work again."`
	Token   keeper.QueenToken                                 `cmd:"" help:"Print the token that the queen's API wants."`
}

type hiveCommands struct {
	Test      keeper.HiveTest                                  `cmd:"" help:"Tell what a machine is, and whether a hive could run there."`
	Install   keeper.HiveInstall                               `cmd:"" help:"Put a hive onto a machine that SSH reaches."`
	Update    keeper.HiveUpdate                                `cmd:"" help:"Give a hive this build, another address or another name."`
	Start     keeper.HiveStart                                 `cmd:"" help:"Start a hive that is down."`
	Stop      keeper.HiveStop                                  `cmd:"" help:"End a hive and its workers."`
	Uninstall keeper.HiveUninstall                             `cmd:"" help:"Remove a hive from its machine."`
	List      keeper.Operation[ops.HiveList, ops.Hives]        `cmd:"" help:"List the hives that the queen knows."`
	Get       keeper.Operation[ops.HiveGet, ops.Hive]          `cmd:"" help:"Show what the queen knows of a hive."`
	Status    keeper.Operation[ops.HiveStatus, ops.Hive]       `cmd:"" help:"Ask a hive itself how it is."`
	Drain     keeper.Operation[ops.HiveDrain, ops.DrainState]  `cmd:"" help:"Give a hive no new requests or workers; what runs there is finished, and downloads go on."`
	Resume    keeper.Operation[ops.HiveResume, ops.DrainState] `cmd:"" help:"Give a hive work again."`
	Env       keeper.HiveEnv                                   `cmd:"" help:"Show or set the token, mirror and proxy that a hive downloads with."`
	Serve     hive.ServeCmd                                    `cmd:"" help:"Run this machine's hive in the foreground."`
	Pipe      hive.PipeCmd                                     `cmd:"" hidden:"" help:"Carry connections to this machine's sockets."`
	End       hive.EndCmd                                      `cmd:"" hidden:"" help:"End what still runs of this machine's hive."`
}

type workerCommands struct {
	Serve  worker.ServeCmd                                       `cmd:"" help:"Run one model in the foreground."`
	Spawn  keeper.WorkerSpawn                                    `cmd:"" help:"Start a worker and wait until its model is loaded."`
	List   keeper.Operation[ops.WorkerList, ops.Workers]         `cmd:"" help:"List workers."`
	Get    keeper.Operation[ops.WorkerGet, ops.Worker]           `cmd:"" help:"Show a worker."`
	Delete keeper.Operation[ops.WorkerDelete, ops.WorkerDeleted] `cmd:"" help:"End a worker."`
}

type modelCommands struct {
	Download keeper.ModelDownload                                 `cmd:"" help:"Bring a model onto a hive, from a file, a URL or Hugging Face."`
	List     keeper.Operation[ops.ModelList, ops.Models]          `cmd:"" help:"List models."`
	Copy     keeper.Operation[ops.ModelCopy, ops.Model]           `cmd:"" help:"Bring a model from one hive to another."`
	Get      keeper.Operation[ops.ModelGet, ops.Model]            `cmd:"" help:"Show a model."`
	Pin      keeper.Operation[ops.ModelPin, ops.Model]            `cmd:"" help:"Keep a model loaded once it is."`
	Unpin    keeper.Operation[ops.ModelUnpin, ops.Model]          `cmd:"" help:"Let a model be unloaded again."`
	Delete   keeper.Operation[ops.ModelDelete, ops.ModelDeleted]  `cmd:"" help:"Delete a model."`
	Alias    keeper.Operation[ops.ModelAlias, ops.Alias]          `cmd:"" help:"Give a model another name."`
	Aliases  keeper.Operation[ops.ModelAliases, ops.Aliases]      `cmd:"" help:"List the other names of models."`
	Unalias  keeper.Operation[ops.ModelUnalias, ops.AliasRemoved] `cmd:"" help:"Remove another name of a model."`
}

type engineCommands struct {
	List    keeper.Operation[ops.EngineList, ops.Engines]         `cmd:"" help:"List engines, and which of them workers run."`
	Install keeper.Operation[ops.EngineInstall, ops.Engine]       `cmd:"" help:"Bring a release of llama.cpp, which new workers then run."`
	Remove  keeper.Operation[ops.EngineRemove, ops.EngineRemoved] `cmd:"" help:"Remove a release that install brought, or what has come of one."`
	Flags   keeper.EngineFlags                                    `cmd:"" help:"List the settings of llama.cpp's that workers can be given."`
}

type jobCommands struct {
	List   keeper.JobList   `cmd:"" help:"List jobs."`
	Get    keeper.JobGet    `cmd:"" help:"Show a job."`
	Cancel keeper.JobCancel `cmd:"" help:"Cancel a job."`
	Follow keeper.JobFollow `cmd:"" help:"Show a job from its first event to its end."`
}

type keyCommands struct {
	Create keeper.KeyCreate                              `cmd:"" help:"Make an API key."`
	List   keeper.Operation[ops.KeyList, ops.Keys]       `cmd:"" help:"List API keys."`
	Revoke keeper.Operation[ops.KeyRevoke, ops.KeyEnded] `cmd:"" help:"End an API key for good."`
}

// Help is shown by --help of the words that only lead to commands.
func (queenCommands) Help() string { return "Example:\n  rbee queen status" }

func (hiveCommands) Help() string {
	return "Example:\n  rbee hive install --host alice@gpu1 --name gpu1"
}
func (workerCommands) Help() string { return "Example:\n  rbee worker spawn tinybee" }
func (modelCommands) Help() string {
	return "Example:\n  rbee model download hf:Qwen/Qwen3-0.6B-GGUF"
}
func (engineCommands) Help() string { return "Example:\n  rbee engine list" }
func (jobCommands) Help() string    { return "Example:\n  rbee job list" }
func (keyCommands) Help() string    { return "Example:\n  rbee key list" }

// exit is the code of a command line that kong has answered itself, as --help.
type exit int

// Error is never shown.
func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// serving is the part of the command tree that daemons are started by.
type serving struct {
	keeper.Flags
	daemons.Commands
}

// serves reports whether the words start a daemon and ask for nothing else.
func serves(words []string) bool {
	asks := func(word string) bool { return word == "--help" || word == "-h" || word == "--version" }
	return len(words) >= 2 && words[1] == "serve" && !slices.ContainsFunc(words, asks)
}

// parse finds the command that the words are of, and the flags that all have.
func parse(words []string, stdout, stderr io.Writer) (*kong.Context, keeper.Flags, error) {
	words = joinNumbers(words)
	if serves(words) { // the whole tree takes a third of the time in which a daemon starts
		var c serving
		parser, err := newParser(&c, stdout, stderr)
		if err != nil {
			return nil, c.Flags, err
		}
		if parsed, err := parser.Parse(words); err == nil {
			return parsed, c.Flags, nil
		} // the whole tree says what is wrong
	}
	var c cli
	parser, err := newParser(&c, stdout, stderr)
	if err != nil {
		return nil, c.Flags, err
	}
	parsed, err := parser.Parse(words)
	if err != nil {
		return nil, c.Flags, misused(err)
	}
	return parsed, c.Flags, nil
}

// newParser builds the parser of the tree c.
func newParser(c any, stdout, stderr io.Writer) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("rbee"), kong.Description("rbee turns the machines that you have into one private LLM service.\n\nExample:\n  rbee infer \"Once upon a time\""),
		kong.Writers(stdout, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.NamedMapper("source", kong.MapperFunc(source)), kong.NamedMapper("given", kong.MapperFunc(given)), kong.PostBuild(emptyIsUnset), kong.Help(help), kong.Exit(func(code int) { panic(exit(code)) }))
}

// emptyIsUnset has variables that are set to nothing stand for no flag's value: a shell
// that is to go without one can hardly say it otherwise.
func emptyIsUnset(k *kong.Kong) error {
	return kong.Visit(k.Model, func(node kong.Visitable, next kong.Next) error {
		if f, ok := node.(*kong.Flag); ok {
			f.Tag.Envs = slices.DeleteFunc(slices.Clone(f.Tag.Envs), func(name string) bool {
				text, set := os.LookupEnv(name)
				return set && text == ""
			})
		}
		return next(nil)
	})
}

// given takes a value that, where its flag is given, is not to be empty.
func given(ctx *kong.DecodeContext, target reflect.Value) error {
	var value string
	if err := ctx.Scan.PopValueInto("string", &value); err != nil {
		return err
	}
	if value == "" {
		return errors.New("must not be empty: leave it out, or give a name")
	}
	target.SetString(value)
	return nil
}

// source takes where a model comes from.
func source(ctx *kong.DecodeContext, target reflect.Value) error {
	var given string
	if err := ctx.Scan.PopValueInto("source", &given); err != nil {
		return err
	}
	path, err := keeper.Source(given)
	if err != nil {
		return fmt.Errorf("%q is no path: %w", given, err)
	}
	target.SetString(path)
	return nil
}

// help shows a command's help. The parser leaves [flags] out of the usage of
// commands that have only those which all have.
func help(options kong.HelpOptions, ctx *kong.Context) error {
	if selected := ctx.Selected(); selected != nil {
		usage := selected.Summary()
		if !strings.HasSuffix(usage, " [flags]") {
			usage += " [flags]"
		}
		if _, err := fmt.Fprintf(ctx.Stdout, "Usage: %s %s\n", ctx.Model.Name, usage); err != nil {
			return err
		}
		options.NoAppSummary = true
	}
	return kong.DefaultHelpPrinter(options, ctx)
}

// run parses the words and runs their command.
func run(ctx context.Context, signals *signals, words []string, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			code, ok := p.(exit)
			if !ok {
				panic(p)
			}
			err = code
			if code == 0 {
				err = nil
			}
		}
	}()
	if len(words) == 0 {
		words = []string{"--help"}
	}
	parsed, flags, err := parse(words, stdout, stderr)
	if err != nil {
		return err
	}
	if err := checkOutput(parsed.Command(), flags.Output); err != nil {
		return asFlag(parsed, err)
	}
	h, err := home.Find(os.Getenv)
	if err != nil {
		return err
	}
	listen := os.Getenv("RBEE_LISTEN")
	if listen == "" {
		listen = queen.DefaultListen
	}
	k, err := keeper.New(flags, h, listen, stdin, stdout, stderr)
	if err != nil {
		return err
	}
	k.OnInterrupt = signals.OnInterrupt
	if parsed.Selected().Name != "serve" { // a daemon tells by it what it is doing
		signals.alsoQuit()
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.BindTo(stderr, (*io.Writer)(nil))
	parsed.Bind(h, k)
	err = asFlag(parsed, parsed.RunNode(parsed.Selected())) // Run would hide the error among those of hooks
	if err != nil && ctx.Err() != nil && !errors.Is(err, keeper.ErrReaderGone) && !errors.Is(err, keeper.ErrLeft) {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}

// checkOutput refuses events where there are none.
func checkOutput(command, output string) error {
	if output == "events" && command != "chat" && !slices.ContainsFunc([]string{"infer", "job follow"}, func(s string) bool { return strings.HasPrefix(command, s) }) {
		return ops.Invalid("output", "events are what infer and job follow have; this command prints text or json")
	}
	if output != "text" && command == "chat" {
		return ops.Invalid("output", "a conversation is text only").WithHint("`rbee infer -o json` prints one answer as JSON")
	}
	return nil
}
