package keeper

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

func TestEveryResultIsShownToAPerson(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	later := at.Add(1500 * time.Millisecond)
	for _, tt := range []struct {
		result any
		want   []string
	}{
		{
			ops.QueenReport{Address: "127.0.0.1:7833", PID: 5, Version: "1", Build: "abc", StartedAt: at, Jobs: map[ops.JobState]int{ops.JobRunning: 2}, Hives: []ops.Hive{{ID: "localhost", State: ops.HiveUp}}},
			[]string{"up at 127.0.0.1:7833, pid 5, 1 build abc, since 2026-11-23 12:00:00", "2 running", "localhost  up     this machine  -"},
		},
		{
			ops.Hives{Hives: []ops.Hive{{ID: "gpu1", Host: "a@gpu1:22", State: ops.HiveDown, Devices: []ops.Device{{ID: "cpu"}, {ID: "cuda:0"}}}}},
			[]string{"HIVE", "gpu1  down   a@gpu1:22  -        0        0       cpu cuda:0"},
		},
		{
			ops.Hive{ID: "gpu1", State: ops.HiveDown, Error: "gone", Devices: []ops.Device{{ID: "cpu", Name: "EPYC", Cores: 2, MemoryBytes: 2 << 30, MemoryFreeBytes: 1 << 30, MachineMemoryBytes: 24 << 30}, {ID: "cuda:0", Name: "NVIDIA H100", MemoryBytes: 80 << 30, MemoryFreeBytes: 79 << 30, DriverVersion: "550.54.14", ComputeCapability: "9.0"}, {ID: "cuda:1", Name: "NVIDIA GB10", MemoryBytes: 2 << 30, MemoryFreeBytes: 1 << 30, SharesMemory: true}}, Problems: []string{"nvidia-smi: a card is lost"}},
			[]string{"NVIDIA GB10, 1.0 GiB of 2.0 GiB free, the machine's own", "nvidia-smi: a card is lost", "gone", "EPYC, 2 cores, 1.0 GiB of 2.0 GiB free (the machine has 24.0 GiB)", "NVIDIA H100, 79.0 GiB of 80.0 GiB free, compute capability 9.0, driver 550.54.14"},
		},
		{ops.Workers{}, []string{"no workers; `rbee worker spawn` starts one"}},
		{ops.Workers{Silent: []string{"gpu1"}}, []string{"no workers are known of: gpu1 does not answer; `rbee hive list` says why\n"}},
		{ops.Models{Silent: []string{"gpu1", "gpu2"}}, []string{"no models are known of: gpu1, gpu2 do not answer; `rbee hive list` says why\n"}},
		{
			ops.Workers{Workers: []ops.Worker{{ID: "w1", HiveID: "gpu1", Model: "m", Engine: "builtin", Device: "cpu", State: ops.WorkerUnknown, Slots: 4}}, Silent: []string{"gpu1"}},
			[]string{"w1      gpu1  m      builtin  cpu     unknown  -\n"},
		},
		{
			ops.Workers{Workers: []ops.Worker{{ID: "w1", HiveID: "localhost", Model: "m", Engine: "builtin", Device: "cpu", State: ops.WorkerBusy, Running: 5, Slots: 4}}},
			[]string{"w1      localhost  m      builtin  cpu     busy   5 of 4"},
		},
		{ops.Worker{ID: "w1", State: ops.WorkerFailed, Error: "killed", StartedAt: at}, []string{"why      killed"}},
		{
			ops.Worker{ID: "w1", Flags: []string{"embeddings", "pooling=mean"}, Command: "serve bee", StartedAt: at},
			[]string{"flags    embeddings, pooling=mean\n", "command  serve bee\n"},
		},
		{ops.WorkerDeleted{ID: "w1", HiveID: "localhost"}, []string{"worker w1 on localhost has ended"}},
		{
			ops.Models{Models: []ops.Model{{ID: "tinybee", HiveID: "localhost", Size: 1811648, Memory: 50 << 20, Quantization: "Q8_0", Architecture: "llama", Context: 512, Source: ops.BuiltInSource}, {ID: "bad", Error: "cut off"}}},
			[]string{"tinybee  1.7 MiB  50.0 MiB  Q8_0          llama         512      localhost  built-in", "cut off"},
		},
		{
			ops.Models{Models: []ops.Model{{ID: "m", HiveID: "gpu1", Size: 7}, {ID: "l", HiveID: "gpu1", Size: 5}, {ID: "m", HiveID: "gpu2", Size: 7, SHA256: "ab"}, {ID: "m", HiveID: "gpu3", Size: 8}}},
			[]string{"gpu1, gpu2", "8 B   -       -             -             -        gpu3"},
		},
		{ops.Model{ID: "m", Parameters: 1676000, AddedAt: at}, []string{"1.68 million"}},
		{ops.ModelDeleted{ID: "m", HiveID: "localhost"}, []string{"model m is deleted from localhost, and next to nothing is free again: it was empty or a link, or another model has the same file"}},
		{ops.ModelDeleted{ID: "m", HiveID: "localhost", Freed: 500}, []string{"model m is deleted from localhost, 500 B are free again"}},
		{
			ops.Engines{Engines: []ops.Engine{
				{ID: "b11669-cuda-13.4", HiveID: "gpu1", Name: "llamacpp", Version: "b11669", Accelerators: "cuda", Used: true, Default: true, Path: "/e/llama-server"},
				{ID: "path", HiveID: "gpu1", Name: "llamacpp", Error: "too old"},
				{ID: "builtin", HiveID: "gpu1", Name: "builtin", Version: "1", Accelerators: "cpu", Used: true, Origin: ops.EngineBuiltIn, Path: "/rbee"},
			}},
			[]string{
				"llamacpp  gpu1  b11669-cuda-13.4  b11669   cuda  default           /e/llama-server", "-     -                 cannot be used: too old",
				"builtin   gpu1  builtin           1        cpu   --engine builtin  part of rbee",
			},
		},
		{
			ops.Engines{Engines: []ops.Engine{{ID: "builtin", HiveID: "gpu1", Name: "builtin", Used: true, Origin: ops.EngineBuiltIn}}, Silent: []string{"gpu2", "gpu3"}},
			[]string{"gpu1", "not all engines are known: gpu2, gpu3 do not answer; `rbee hive list` says why\n"},
		},
		{ops.Engines{Silent: []string{"gpu1"}}, []string{"no engines are known of: gpu1 does not answer; `rbee hive list` says why\n"}},
		{ops.Engine{ID: "b1-cpu", Size: 2048, InstalledAt: &at, Default: true}, []string{"engine     b1-cpu", "use        default", "2.0 KiB", "2026-11-23 12:00:00"}},
		{ops.EngineRemoved{ID: "b1-cpu", HiveID: "gpu1", Freed: 500}, []string{"engine b1-cpu is removed from gpu1, 500 B are free again"}},
		{ops.Models{Models: []ops.Model{{ID: "m", Aliases: []string{"fast", "gpt-4o"}}}}, []string{"also called fast, gpt-4o"}},
		{ops.Models{Models: []ops.Model{{ID: "m", HiveID: "a", Refused: "not llama"}, {ID: "m", HiveID: "b", Refused: "not llama"}}}, []string{"a, b   not llama\n"}},
		{ops.Model{ID: "m", Refused: "not llama", AddedAt: at}, []string{"cannot run  not llama"}},
		{ops.Model{ID: "m", Aliases: []string{"fast"}, AddedAt: at}, []string{"also called  fast"}},
		{ops.Model{ID: "m", Abilities: []ops.Ability{ops.AbilityCompletion, ops.AbilityTools}, AddedAt: at}, []string{"can do  completion, tools"}},
		{ops.Worker{ID: "w1", State: ops.WorkerReady, StartedAt: at, UnloadsAt: &later}, []string{"unloaded  2026-11-23 12:00:01, if it gets nothing to do"}},
		{ops.Alias{Alias: "fast", Model: "m"}, []string{"fast means m now"}},
		{ops.Aliases{}, []string{"no aliases; `rbee model alias NAME MODEL` makes one"}},
		{ops.Aliases{Aliases: []ops.Alias{{Alias: "fast", Model: "m"}}}, []string{"ALIAS  MODEL", "fast   m"}},
		{ops.AliasRemoved{Alias: "fast"}, []string{"the alias fast is removed"}},
		{ops.Keys{}, []string{"no keys: this machine's programs need none; `rbee key create` makes one"}},
		{
			ops.Keys{Keys: []ops.Key{
				{ID: "k1", Name: "web", State: ops.KeyActive, Scopes: []ops.Scope{ops.ScopeInference, ops.ScopeJobs}, Models: []string{"m", "n"}, RequestsPerMinute: 5, TokensPerMinute: 100, CreatedAt: at, ExpiresAt: &later},
				{ID: "k2", State: ops.KeyRevoked, Scopes: []ops.Scope{ops.ScopeAdmin}, CreatedAt: at, LastUsedAt: &at},
			}},
			[]string{
				"k1   web   active   inference, jobs  m, n    5 requests/min, 100 tokens/min  2026-11-23 12:00:00  2026-11-23 12:00:01  -",
				"k2   -     revoked  admin            all     -",
			},
		},
		{ops.Keys{Keys: []ops.Key{{ID: "k1", Models: []string{"m", "n", "o"}, Missing: []string{"n", "o"}, CreatedAt: at}}}, []string{"m, n, o (no hive has n, o)"}},
		{ops.Key{ID: "k1", CreatedAt: at}, []string{"k1"}},
		{ops.KeyEnded{ID: "k1", Name: "web"}, []string{"the key k1 (web) is revoked\n"}},
		{ops.KeyEnded{ID: "k1", Forgotten: true}, []string{"the key k1 is revoked and forgotten"}},
		{ops.UsageReport{Since: at}, []string{"no model was used since 2026-11-23 12:00:00"}},
		{
			ops.UsageReport{
				Since: at, Total: ops.UsageRow{Requests: 6, Errors: 1, TokensIn: 33, TokensOut: 44, Estimated: 2, Seconds: 61.5},
				Usage: []ops.UsageRow{
					{Key: "k1", KeyName: "web", Model: "m", Requests: 4, Errors: 1, TokensIn: 30, TokensOut: 40, Estimated: 2, Seconds: 61.5},
					{Key: "k0", Model: "m", Requests: 1},
					{Key: "token", Requests: 1, TokensIn: 3, TokensOut: 4},
					{Key: "none"},
				},
			},
			[]string{
				"k1 (web)           m         4         1       30         40          1m1.5s", "k0 ", "the queen's token  no model  1 ", "no key ",
				"total              -         6         1       33         44          1m1.5s", "since 2026-11-23 12:00:00; the engines told no counts of 2 requests, whose tokens are estimated\n",
			},
		},
		{
			ops.UsageReport{Total: ops.UsageRow{Requests: 1, Estimated: 1}, Usage: []ops.UsageRow{{Key: "k1", Requests: 1, Estimated: 1}}},
			[]string{"; the engine told no counts of 1 request, whose tokens are estimated\n"},
		},
		{
			ops.UsageReport{Total: ops.UsageRow{Requests: 3}, Usage: []ops.UsageRow{{Key: "k1", Requests: 2}, {Key: "token", Requests: 1}}},
			[]string{"KEY                REQUESTS", "the queen's token  1 ", "total              3 "},
		},
		{
			ops.UsageReport{Total: ops.UsageRow{Requests: 3}, Usage: []ops.UsageRow{{Model: "m", Requests: 2}, {Requests: 1}}},
			[]string{"MODEL     REQUESTS", "m         2 ", "no model  1 ", "total     3 "},
		},
		{ops.Jobs{}, []string{"no jobs"}},
		{
			ops.Jobs{Jobs: []ops.Job{{ID: "j", Operation: "infer", State: ops.JobCompleted, CreatedAt: at, StartedAt: &at, FinishedAt: &later}}},
			[]string{"j    infer      completed  2026-11-23 12:00:00  1.5s"},
		},
		{ops.Job{ID: "j", State: ops.JobFailed, Error: &ops.Error{Message: "odd"}, CreatedAt: at}, []string{"error    odd"}},
	} {
		var out bytes.Buffer
		k := &Keeper{Stdout: &out}
		if err := k.show(tt.result); err != nil {
			t.Errorf("%T: %v", tt.result, err)
		}
		for _, want := range tt.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%T shows as\n%s\nwithout %q", tt.result, out.String(), want)
			}
		}
		if strings.Contains(out.String(), "{") {
			t.Errorf("%T shows its insides: %s", tt.result, out.String())
		}
	}
	if err := (&Keeper{Stdout: &bytes.Buffer{}}).show(struct{}{}); err == nil {
		t.Error("a result without a table is no error")
	}
}

func TestJSONIsOneLine(t *testing.T) {
	var out bytes.Buffer
	k := &Keeper{Flags: Flags{Output: "json"}, Stdout: &out}
	if err := k.show(ops.WorkerDeleted{ID: "w1", HiveID: "localhost"}); err != nil || out.String() != `{"id":"w1","hive_id":"localhost"}`+"\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestThePromptIsTheArgumentAndWhatIsPiped(t *testing.T) {
	for _, tt := range []struct{ argument, stdin, want string }{
		{"Say:", "diff\n", "Say:\n\ndiff\n"}, {"", "diff", "diff"}, {"Say", " \n", "Say"}, {"", "", ""}, {"", "\n", ""},
	} {
		k := &Keeper{Stdin: strings.NewReader(tt.stdin), Stderr: &bytes.Buffer{}}
		got, err := k.prompt(t.Context(), tt.argument)
		if tt.want == "" {
			if ops.CodeOf(err) != ops.CodeInvalid {
				t.Errorf("%q, %q: got %q, %v", tt.argument, tt.stdin, got, err)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("%q, %q: got %q, %v", tt.argument, tt.stdin, got, err)
		}
	}
}

// TestAPromptThatIsNotTextIsSaidToBe: bytes that no character is of do not reach the model.
func TestAPromptThatIsNotTextIsSaidToBe(t *testing.T) {
	for stdin, warns := range map[string]bool{"caf\xe9": true, "caf\u00e9": false, "a\x00b": false} {
		var said bytes.Buffer
		k := &Keeper{Stdin: strings.NewReader(stdin), Stderr: &said}
		if _, err := k.prompt(t.Context(), "Say:"); err != nil || strings.Contains(said.String(), "is not all UTF-8") != warns {
			t.Errorf("%q: %v, said %q", stdin, err, said.String())
		}
	}
}

func TestAFailedStartIsToldInTheDaemonsWords(t *testing.T) {
	for name, tt := range map[string]struct {
		said          daemon.LogLine
		message, hint string
		code          ops.Code
		unreachable   bool
	}{
		"with a hint of its own": {
			daemon.LogLine{Message: "the queen cannot start", Error: "cannot listen on x", Hint: "choose another", Code: ops.CodeUnavailable},
			"the queen cannot start: cannot listen on x", "choose another", ops.CodeUnavailable, true,
		},
		"a wrong setting": {
			daemon.LogLine{Message: "the queen cannot start", Error: "listen: must be HOST:PORT", Code: ops.CodeInvalid},
			"the queen cannot start: listen: must be HOST:PORT", "its log is ", ops.CodeInvalid, false,
		},
		"a panic": {daemon.LogLine{Message: "panic: ouch"}, "panic: ouch", "its log is ", ops.CodeUnavailable, true},
	} {
		t.Run(name, func(t *testing.T) {
			err := notStarted(tt.said, "queen.log")
			e := ops.AsError(err)
			if e.Message != tt.message || e.Code != tt.code || !strings.HasPrefix(e.Hint, tt.hint) || errors.Is(err, transport.ErrUnreachable) != tt.unreachable {
				t.Errorf("got %s %q (%s)", e.Code, e.Message, e.Hint)
			}
		})
	}
}

func TestAJobIsShownWithoutJSON(t *testing.T) {
	var out bytes.Buffer
	k := &Keeper{Flags: Flags{Output: "text"}, Stdout: &out}
	op := `{"operation":"infer","prompt":"Once\nupon","max_tokens":5,"stop":["a"],"system":"` + strings.Repeat("x", 200) + `"}`
	if err := k.show(ops.Job{ID: "j1", Operation: "infer", Op: json.RawMessage(op)}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"prompt      Once upon\n", "max tokens  5\n", "xxx…\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "{") {
		t.Errorf("a person is shown JSON:\n%s", out.String())
	}
}
