package ops_test

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

// infer returns a legal Infer after change.
func infer(change func(*ops.Infer)) ops.Infer {
	o := ops.Infer{Prompt: "Once"}
	change(&o)
	return o
}

// split returns a WorkerSpawn that divides a model.
func split(hives ...string) ops.WorkerSpawn {
	return ops.WorkerSpawn{Split: ops.Split{Hives: hives}}
}

func TestValidateTakesEachSampleAndRefusesWhatIsOutOfRange(t *testing.T) {
	var (
		onHive  = func(id string) ops.OnHive { return ops.OnHive{HiveID: id} }
		address = func(host, user string, port int) ops.SSHAddress {
			return ops.SSHAddress{SSHHost: host, SSHUser: user, SSHPort: port}
		}
		long   = strings.Repeat("a", 64)
		digest = ops.KeyDigest("secret")
	)
	for _, tt := range []struct {
		o     ops.Op
		field string // "" is a legal operation
	}{
		{ops.Status{}, ""},
		{ops.HiveList{}, ""},

		{ops.SSHTest{SSHAddress: address("gpu1.lan", "vince", 22)}, ""},
		{ops.SSHTest{SSHAddress: address("2001:db8::1", "", 0)}, ""},
		{ops.SSHTest{SSHAddress: address("fe80::1%eth0", "", 65535)}, ""},
		{ops.SSHTest{}, "ssh_host"},
		{ops.SSHTest{SSHAddress: address("-oProxyCommand=evil", "", 0)}, "ssh_host"},
		{ops.SSHTest{SSHAddress: address("gpu1; reboot", "", 0)}, "ssh_host"},
		{ops.SSHTest{SSHAddress: address("gpu1\n", "", 0)}, "ssh_host"},
		{ops.SSHTest{SSHAddress: address("$(reboot)", "", 0)}, "ssh_host"},
		{ops.SSHTest{SSHAddress: address("gpu1", "-l", 0)}, "ssh_user"},
		{ops.SSHTest{SSHAddress: address("gpu1", "a b", 0)}, "ssh_user"},
		{ops.SSHTest{SSHAddress: address("gpu1", "", -1)}, "ssh_port"},
		{ops.SSHTest{SSHAddress: address("gpu1", "", 65536)}, "ssh_port"},

		{ops.HiveInstall{}, ""},
		{ops.HiveInstall{HiveID: long[:63], Port: 65535}, ""},
		{ops.HiveInstall{HiveID: long}, "hive_id"},
		{ops.HiveInstall{HiveID: "GPU1"}, "hive_id"},
		{ops.HiveInstall{HiveID: "-gpu1"}, "hive_id"},
		{ops.HiveInstall{HiveID: "../gpu1"}, "hive_id"},
		{ops.HiveInstall{HiveID: "gpu1\n"}, "hive_id"},
		{ops.HiveInstall{SSHAddress: address("-x", "", 0)}, "ssh_host"},
		{ops.HiveInstall{Port: -1}, "port"},
		{ops.HiveInstall{BinaryPath: "./rbee"}, "binary_path"},
		{ops.HiveUpdate{HiveID: "gpu1", BinaryPath: "rbee"}, "binary_path"},
		{ops.HiveUpdate{HiveID: "gpu1", BinaryPath: "/opt/rbee"}, ""},
		{ops.HiveInstall{Port: 65536}, "port"},

		{ops.HiveUninstall{HiveID: "gpu1"}, ""},
		{ops.HiveUninstall{}, "hive_id"},
		{ops.HiveUninstall{HiveID: "a b"}, "hive_id"},
		{ops.HiveUpdate{HiveID: "gpu1"}, ""},
		{ops.HiveUpdate{}, "hive_id"},
		{ops.HiveUpdate{HiveID: "gpu1", NewName: "; rm -rf"}, "new_name"},
		{ops.HiveUpdate{HiveID: "gpu1", SSHAddress: address("", "$HOME", 0)}, "ssh_user"},
		{ops.HiveUpdate{HiveID: "gpu1", SSHAddress: address("", "", 70000)}, "ssh_port"},
		{ops.HiveStart{}, ""},
		{ops.HiveStart{HiveID: "a/b"}, "hive_id"},
		{ops.HiveStop{}, ""},
		{ops.HiveStop{HiveID: "a/b"}, "hive_id"},
		{ops.HiveGet{}, ""},
		{ops.HiveGet{HiveID: "a/b"}, "hive_id"},
		{ops.HiveStatus{}, ""},
		{ops.HiveStatus{HiveID: "a/b"}, "hive_id"},
		{ops.QueenDrain{}, ""},
		{ops.QueenResume{}, ""},
		{ops.HiveDrain{HiveID: "gpu1"}, ""},
		{ops.HiveDrain{}, "hive_id"},
		{ops.HiveDrain{HiveID: "a/b"}, "hive_id"},
		{ops.HiveResume{HiveID: "gpu1"}, ""},
		{ops.HiveResume{}, "hive_id"},
		{ops.Explain{ID: "JOB"}, ""},
		{ops.Explain{}, "id"},
		{ops.ModelPin{ID: "tinybee"}, ""},
		{ops.ModelPin{}, "id"},
		{ops.ModelPin{ID: "../x"}, "id"},
		{ops.ModelUnpin{ID: "tinybee"}, ""},
		{ops.ModelUnpin{}, "id"},
		{ops.Infer{Prompt: "x", Priority: "urgent"}, "priority"},
		{ops.Infer{Prompt: "x", Priority: ops.Batch}, ""},

		{ops.KeyCreate{Digest: digest}, ""},
		{ops.KeyCreate{}, "digest"},
		{ops.KeyCreate{Digest: "sk-rbee-secret"}, "digest"},
		{ops.KeyCreate{Digest: strings.ToUpper(digest)}, "digest"},
		{ops.KeyCreate{Digest: digest, Label: "Vince's laptop"}, ""},
		{ops.KeyCreate{Digest: digest, Label: long + long + "a"}, "name"},
		{ops.KeyCreate{Digest: digest, Label: "a\nb"}, "name"},
		{ops.KeyCreate{Digest: digest, Scopes: []ops.Scope{"inference", "root"}}, "scopes"},
		{ops.KeyCreate{Digest: digest, Models: []string{"qwen3", ""}}, "models"},
		{ops.KeyCreate{Digest: digest, Models: make([]string, 257)}, "models"},
		{ops.KeyCreate{Digest: digest, Models: []string{"qwen3"}, Scopes: []ops.Scope{ops.ScopeJobs}}, ""},
		{ops.KeyCreate{Digest: digest, Models: []string{"qwen3"}, Scopes: []ops.Scope{ops.ScopeInference, ops.ScopeAdmin}}, "models"},
		{ops.KeyCreate{Digest: digest, Models: []string{}}, "models"},
		{ops.KeyCreate{Digest: digest, Models: []string{" "}}, "models"},
		{ops.KeyCreate{Digest: digest, Scopes: []ops.Scope{}}, "scopes"},
		{ops.KeyCreate{Digest: digest, Label: "  "}, "name"},
		{ops.KeyCreate{Digest: digest, Expires: new("")}, "expires"},
		{ops.KeyCreate{Digest: digest, Expires: new(" ")}, "expires"},
		{ops.KeyCreate{Digest: digest, RequestsPerMinute: -1}, "requests_per_minute"},
		{ops.KeyCreate{Digest: digest, TokensPerMinute: 1_000_000_001}, "tokens_per_minute"},
		{ops.KeyCreate{Digest: digest, Expires: new("30d")}, ""},
		{ops.KeyCreate{Digest: digest, Expires: new("tomorrow")}, "expires"},
		{ops.KeyRevoke{ID: "k1a2b3c"}, ""},
		{ops.KeyRevoke{}, "id"},
		{ops.KeyRevoke{ID: "my laptop"}, ""},
		{ops.KeyRevoke{ID: "a\tb"}, "id"},
		{ops.KeyCreate{Digest: strings.Repeat("0", 64), Label: "none"}, "name"},
		{ops.Usage{}, ""},
		{ops.Usage{By: "hive"}, "by"},
		{ops.Usage{Since: "-7d"}, "since"},

		{ops.WorkerSpawn{}, ""},
		{ops.WorkerSpawn{Device: "auto"}, ""},
		{ops.WorkerSpawn{Device: "cuda:12", Parallel: 64, Context: 1 << 20}, ""},
		{ops.WorkerSpawn{OnHive: onHive("A")}, "hive_id"},
		{ops.WorkerSpawn{Model: strings.Repeat("m", 4097)}, "model"},
		{ops.WorkerSpawn{Model: "a\x00b"}, "model"},
		{ops.WorkerSpawn{Model: "../x"}, "model"},
		{ops.WorkerSpawn{Model: "./x.gguf"}, "model"},
		{ops.WorkerSpawn{Model: "openai/gpt-4o"}, ""},
		{ops.WorkerSpawn{Model: "hf:Qwen/Qwen3-0.6B-GGUF:Q8_0"}, ""},
		{ops.WorkerSpawn{Model: "hf:Qwen"}, "model"},
		{ops.WorkerSpawn{Engine: "Built In"}, "worker"},
		{ops.WorkerSpawn{Engine: "builtn"}, "worker"},
		{ops.Infer{Prompt: "x", Engine: "vllm"}, "worker"},
		{ops.Infer{Prompt: "x", Engine: "auto"}, ""},
		{ops.WorkerSpawn{Device: "cuda:"}, "device"},
		{ops.WorkerSpawn{Device: "cuda:1234"}, "device"},
		{ops.WorkerSpawn{Device: "GPU"}, "device"},
		{ops.WorkerSpawn{Parallel: 1, Context: 1}, ""},
		{ops.WorkerSpawn{Parallel: -1}, "parallel"},
		{ops.WorkerSpawn{Parallel: 65}, "parallel"},
		{ops.WorkerSpawn{Context: -1}, "context_length"},
		{ops.WorkerSpawn{Context: 1<<20 + 1}, "context_length"},
		{ops.WorkerSpawn{Flags: []string{"flash-attn=on", "--no-warmup"}}, ""},
		{ops.WorkerSpawn{Engine: "command", Command: "vllm serve {model} --uds {socket}"}, ""},
		{ops.WorkerSpawn{Engine: "command"}, "command"},
		{ops.WorkerSpawn{Command: "vllm"}, "command"},
		{ops.WorkerSpawn{Engine: "command", Command: "a\nb"}, "command"},
		{ops.WorkerSpawn{Engine: "command", Command: "vllm serve {model}"}, "command"},
		{ops.WorkerSpawn{Engine: "command", Command: "serve --port {port}"}, ""},
		{ops.WorkerSpawn{Flags: make([]string, 65)}, "flags"},
		{ops.WorkerSpawn{Flags: []string{"--"}}, "flags"},
		{ops.WorkerSpawn{Flags: []string{"a\nb"}}, "flags"},
		{split("gpu1", "gpu2"), ""},
		{ops.WorkerSpawn{OnHive: onHive("gpu1"), Engine: "llamacpp", Split: ops.Split{Hives: []string{"gpu1", "gpu2"}, Share: 0.5}}, ""},
		{ops.WorkerSpawn{OnHive: onHive("gpu2"), Split: ops.Split{Hives: []string{"gpu1", "gpu2"}}}, "hive_id"},
		{ops.WorkerSpawn{Engine: "builtin", Split: ops.Split{Hives: []string{"gpu1", "gpu2"}}}, "worker"},
		{ops.WorkerSpawn{Split: ops.Split{Hives: []string{"gpu1", "gpu2"}, Share: 1}}, "share"},
		{ops.WorkerSpawn{Split: ops.Split{Hives: []string{"gpu1", "gpu2"}, Share: math.NaN()}}, "share"},
		{ops.WorkerSpawn{Split: ops.Split{Share: 0.5}}, "share"},
		{split("gpu1"), "hives"},
		{split("gpu1", "gpu2", "gpu1"), "hives"},
		{split("gpu1", ""), "hives"},
		{split("gpu1", "../gpu2"), "hives"},
		{split(strings.Split("a b c d e f g h i j k l m n o p q r", " ")...), "hives"},
		{ops.WorkerSpawn{Engine: ops.EngineRPC, Split: ops.Split{PartOf: "gpu1/w1a2b3", PartBytes: 1 << 30}}, ""},
		{ops.WorkerSpawn{Split: ops.Split{PartOf: "gpu1"}}, "part_of"},
		{ops.WorkerSpawn{Model: "m", Split: ops.Split{PartBytes: 1}}, "part_bytes"},
		{ops.WorkerSpawn{Split: ops.Split{PartOf: "gpu1/../w"}}, "part_of"},
		{ops.WorkerSpawn{Model: "m", Split: ops.Split{Hives: []string{"gpu1", "gpu2"}, RoomOnly: true}}, ""},
		{ops.WorkerSpawn{Model: "m", Split: ops.Split{RoomOnly: true}}, "room_only"},
		{ops.WorkerSpawn{Model: "m", Split: ops.Split{WouldFit: true, Coming: &ops.Model{ID: "m", HiveID: "gpu1"}}}, ""},
		{ops.WorkerSpawn{Model: "m", Split: ops.Split{Coming: &ops.Model{ID: "m", HiveID: "gpu1"}}}, "coming"},

		{ops.WorkerList{OnHive: onHive("gpu1")}, ""},
		{ops.WorkerList{OnHive: onHive("gpu 1")}, "hive_id"},
		{ops.WorkerGet{ID: "tinybee-1"}, ""},
		{ops.WorkerGet{}, "id"},
		{ops.WorkerGet{ID: "../w"}, "id"},
		{ops.WorkerGet{OnHive: onHive("gpu 1"), ID: "w"}, "hive_id"},
		{ops.WorkerDelete{ID: "tinybee-1"}, ""},
		{ops.WorkerDelete{}, "id"},
		{ops.WorkerDelete{ID: "W 1"}, "id"},
		{ops.WorkerDelete{OnHive: onHive("gpu 1"), ID: "w"}, "hive_id"},

		{ops.ModelCopy{Model: "qwen3", From: "gpu1", To: "gpu2"}, ""},
		{ops.ModelCopy{Model: "qwen3", To: "localhost", ID: "other"}, ""},
		{ops.ModelCopy{To: "gpu2"}, "model"},
		{ops.ModelCopy{Model: "../x", To: "gpu2"}, "model"},
		{ops.ModelCopy{Model: "x", From: "a/b", To: "gpu2"}, "from"},
		{ops.ModelCopy{Model: "x", From: "gpu1"}, "to"},
		{ops.ModelCopy{Model: "x", From: "gpu1", To: "gpu1"}, "to"},
		{ops.ModelCopy{Model: "x", To: "gpu2", ID: ".."}, "id"},
		{ops.ModelDownload{Model: "/models/a.gguf"}, ""},
		{ops.ModelDownload{Model: "https://example.org/a.gguf", ID: "Qwen3-0.6B.Q8_0"}, ""},
		{ops.ModelDownload{Model: "HTTPS://example.org/a.gguf"}, ""},
		{ops.ModelDownload{}, "model"},
		{ops.ModelDownload{Model: "hf:Qwen/Qwen3-0.6B-GGUF"}, ""},
		{ops.ModelDownload{Model: "hf:Qwen/Qwen3-0.6B-GGUF:sub/x y.gguf"}, ""},
		{ops.ModelDownload{Model: "hive:gpu1/qwen3"}, ""},
		{ops.ModelDownload{Model: "a\nb"}, "model"},
		{ops.ModelDownload{Model: "a.gguf"}, "model"},
		{ops.ModelDownload{Model: "../a.gguf"}, "model"},
		{ops.ModelDownload{Model: "http://"}, "model"},
		{ops.ModelDownload{Model: "http:///a.gguf"}, "model"},
		{ops.ModelDownload{Model: "http://a b/c"}, "model"},
		{ops.ModelDownload{Model: "file:///a.gguf"}, "model"},
		{ops.ModelDownload{Model: "hf:"}, "model"},
		{ops.ModelDownload{Model: "hf:bees"}, "model"},
		{ops.ModelDownload{Model: "hf:a/b/c"}, "model"},
		{ops.ModelDownload{Model: "hf:a/../b"}, "model"},
		{ops.ModelDownload{Model: "hf:a/b.."}, "model"},
		{ops.ModelDownload{Model: "hf:" + strings.Repeat("a", 97) + "/b"}, "model"},
		{ops.ModelDownload{Model: "hive:gpu1"}, "model"},
		{ops.ModelDownload{Model: "hive:/qwen3"}, "model"},
		{ops.ModelDownload{Model: "hive:gpu1/../x"}, "model"},
		{ops.ModelDownload{Model: "/a", ID: "a/b"}, "id"},
		{ops.ModelDownload{OnHive: onHive("gpu 1"), Model: "/a"}, "hive_id"},
		{ops.ModelList{}, ""},
		{ops.ModelList{OnHive: onHive("gpu 1")}, "hive_id"},
		{ops.ModelGet{ID: strings.Repeat("m", 128)}, ""},
		{ops.ModelGet{ID: strings.Repeat("m", 129)}, "id"},
		{ops.ModelGet{}, "id"},
		{ops.ModelGet{ID: ".."}, "id"},
		{ops.ModelGet{ID: "a..b"}, "id"},
		{ops.ModelGet{ID: "/etc/passwd"}, "id"},
		{ops.ModelGet{ID: ".hidden"}, "id"},
		{ops.ModelGet{ID: "a\\b"}, "id"},
		{ops.ModelGet{OnHive: onHive("gpu 1"), ID: "a"}, "hive_id"},
		{ops.ModelDelete{ID: "tinybee"}, ""},
		{ops.ModelDelete{}, "id"},
		{ops.ModelDelete{ID: "../../home"}, "id"},
		{ops.ModelDelete{OnHive: onHive("gpu 1"), ID: "a"}, "hive_id"},

		{ops.EngineList{OnHive: onHive("gpu 1")}, "hive_id"},
		{ops.EngineInstall{}, ""},
		{ops.EngineInstall{Version: "11669", Accelerator: "cpu", From: "http://localhost/x", Checksum: strings.Repeat("A0", 32)}, ""},
		{ops.EngineInstall{Version: "v0.7.0"}, ""},
		{ops.EngineInstall{Version: "latest"}, ""},
		{ops.EngineInstall{Version: "../b1"}, "version"},
		{ops.EngineInstall{Version: "b1/x"}, "version"},
		{ops.EngineInstall{Accelerator: "tpu"}, "accelerator"},
		{ops.EngineInstall{From: "HTTPS://example.org/x"}, ""},
		{ops.EngineInstall{From: "https:x"}, "from"},
		{ops.EngineInstall{From: "file:///etc"}, "from"},
		{ops.EngineInstall{From: "https://a\nb"}, "from"},
		{ops.EngineInstall{Checksum: "abc"}, "checksum"},
		{ops.EngineRemove{ID: "b11669-cuda-13.4"}, ""},
		{ops.EngineRemove{}, "id"},
		{ops.EngineRemove{ID: "../models"}, "id"},

		{infer(func(*ops.Infer) {}), ""},
		{infer(func(o *ops.Infer) { o.HiveID = "GPU" }), "hive_id"},
		{infer(func(o *ops.Infer) { o.Model = "a\tb" }), "model"},
		{infer(func(o *ops.Infer) { o.Model = "/etc/passwd" }), "model"},
		{infer(func(o *ops.Infer) { o.Model = "a/../../b" }), "model"},
		{infer(func(o *ops.Infer) { o.Prompt = "" }), "prompt"},
		{infer(func(o *ops.Infer) { o.Prompt = " \n\t" }), "prompt"},
		{infer(func(o *ops.Infer) { o.Prompt = strings.Repeat("a", ops.MaxPromptBytes) }), ""},
		{infer(func(o *ops.Infer) { o.Prompt = strings.Repeat("a", ops.MaxPromptBytes); o.System = "b" }), "prompt"},
		{infer(func(o *ops.Infer) { o.Raw = true }), ""},
		{infer(func(o *ops.Infer) { o.System = "Be short." }), ""},
		{infer(func(o *ops.Infer) { o.Raw, o.System = true, "Be short." }), "system"},
		{infer(func(o *ops.Infer) { o.MaxTokens = 1 << 20 }), ""},
		{infer(func(o *ops.Infer) { o.MaxTokens = 1<<20 + 1 }), "max_tokens"},
		{infer(func(o *ops.Infer) { o.MaxTokens = -1 }), "max_tokens"},
		{infer(func(o *ops.Infer) { o.Temperature = new(0.0) }), ""},
		{infer(func(o *ops.Infer) { o.Temperature = new(2.0) }), ""},
		{infer(func(o *ops.Infer) { o.Temperature = new(2.1) }), "temperature"},
		{infer(func(o *ops.Infer) { o.Temperature = new(-0.1) }), "temperature"},
		{infer(func(o *ops.Infer) { o.Temperature = new(math.NaN()) }), "temperature"},
		{infer(func(o *ops.Infer) { o.Temperature = new(math.Inf(1)) }), "temperature"},
		{infer(func(o *ops.Infer) { o.TopP = new(1.0) }), ""},
		{infer(func(o *ops.Infer) { o.TopP = new(0.0) }), "top_p"},
		{infer(func(o *ops.Infer) { o.TopP = new(-0.5) }), "top_p"},
		{infer(func(o *ops.Infer) { o.TopP = new(1.01) }), "top_p"},
		{infer(func(o *ops.Infer) { o.TopP = new(math.NaN()) }), "top_p"},
		{infer(func(o *ops.Infer) { o.TopK = new(0) }), ""},
		{infer(func(o *ops.Infer) { o.TopK = new(1_000_000) }), ""},
		{infer(func(o *ops.Infer) { o.TopK = new(1_000_001) }), "top_k"},
		{infer(func(o *ops.Infer) { o.TopK = new(-1) }), "top_k"},
		{infer(func(o *ops.Infer) { o.MinP = new(0.0) }), ""},
		{infer(func(o *ops.Infer) { o.MinP = new(1.0) }), ""},
		{infer(func(o *ops.Infer) { o.MinP = new(1.1) }), "min_p"},
		{infer(func(o *ops.Infer) { o.MinP = new(-0.1) }), "min_p"},
		{infer(func(o *ops.Infer) { o.Seed = new(int64(0)) }), ""},
		{infer(func(o *ops.Infer) { o.Seed = new(int64(1) << 53) }), ""},
		{infer(func(o *ops.Infer) { o.Seed = new(int64(1)<<53 + 1) }), "seed"},
		{infer(func(o *ops.Infer) { o.Seed = new(int64(-1)) }), "seed"},
		{infer(func(o *ops.Infer) { o.Stop = make([]string, 17) }), "stop"},
		{infer(func(o *ops.Infer) { o.Stop = []string{"a", ""} }), "stop"},
		{infer(func(o *ops.Infer) { o.Stop = strings.Split("abcdefghijklmnop", "") }), ""},
		{infer(func(o *ops.Infer) { o.Engine = "llama cpp" }), "worker"},
		{infer(func(o *ops.Infer) { o.Device = "gpu 0" }), "device"},
		{infer(func(o *ops.Infer) { o.WorkerID = "W1" }), "worker_id"},
		{infer(func(o *ops.Infer) { o.Stream = new(false) }), ""},
	} {
		err := tt.o.Validate()
		if tt.field == "" {
			if err != nil {
				t.Errorf("%s %.200v is refused: %v", tt.o.Name(), tt.o, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s %.200v is taken, want it refused for %s", tt.o.Name(), tt.o, tt.field)
			continue
		}
		if e := ops.AsError(err); e.Code != ops.CodeInvalid || e.Field != tt.field {
			t.Errorf("%s %.200v is refused for %s, by %s, want it refused for %s", tt.o.Name(), tt.o, e.Field, e.Code, tt.field)
		}
	}
}

func TestAnEngineThatIsMistypedIsToldTheNearest(t *testing.T) {
	for engine, hint := range map[string]string{"builtn": `did you mean "builtin"?`, "vllm": "the engines are builtin, llamacpp, command"} {
		err := ops.WorkerSpawn{Engine: engine}.Validate()
		wantInvalid(t, err, "worker", "there is no engine", hint)
	}
}

func TestAPasswordInAWrongURLIsNotToldAgain(t *testing.T) {
	err := ops.ModelDownload{Model: "ftp://bee:honey@example.org/x.gguf"}.Validate()
	if err == nil || strings.Contains(err.Error(), "honey") || !strings.Contains(err.Error(), "example.org") {
		t.Errorf("got %v", err)
	}
}

func TestDecodeValidates(t *testing.T) {
	for body, field := range map[string]string{
		`{"operation":"infer"}`:                                   "prompt",
		`{"operation":"infer","prompt":"a","max_tokens":-1}`:      "max_tokens",
		`{"operation":"model_delete","id":"../../etc"}`:           "id",
		`{"operation":"hive_install","port":70000}`:               "port",
		`{"operation":"infer","prompt":"a","temperature":2.0001}`: "temperature",
	} {
		_, _, err := ops.Decode[ops.Op]([]byte(body))
		wantInvalid(t, err, field, "", "")
	}
}

func TestEveryOperationIsValidated(t *testing.T) {
	for _, o := range samples() {
		if i, ok := o.(ops.Infer); ok {
			i.Raw = false // not with a system instruction
			o = i
		}
		if err := o.Validate(); err != nil {
			t.Errorf("the sample of %s is refused: %v", o.Name(), err)
		}
		h, ok := o.(ops.HiveOp)
		if !ok {
			continue
		}
		wantInvalid(t, ops.On(h, "No Hive").Validate(), "hive_id", "", "")
		if reflect.TypeOf(o).NumField() == 0 {
			t.Errorf("%s has no field at all", o.Name())
		}
	}
}

func TestCheckModelIDAndCheckJobID(t *testing.T) {
	for id, ok := range map[string]bool{
		"tinybee": true, "Qwen3.Q8_0": true, "": false, "..": false, "a/b": false, "-a": false,
		"/etc": false, "a..b": false, "../a": false, "a\x00b": false, "a\nb": false, `a\b`: false, "é": false, ".partial-a": false,
		strings.Repeat("a", 128): true, strings.Repeat("a", 300): false,
	} {
		if err := ops.CheckModelID(id); (err == nil) != ok {
			t.Errorf("CheckModelID(%q) = %v", id, err)
		}
	}
	for id, ok := range map[string]bool{
		strings.Repeat("a", 15): false, strings.Repeat("a", 16): true, strings.Repeat("Z", 64): true, strings.Repeat("9", 65): false,
		"with_under-hyphen-": true, "with space in the id": false, "with.dots.in.the.id": false, "": false,
	} {
		if err := ops.CheckJobID(id); (err == nil) != ok {
			t.Errorf("CheckJobID(%q) = %v", id, err)
		}
	}
}
