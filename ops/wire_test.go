package ops_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/ops"
)

var update = flag.Bool("update", false, "write the golden files anew")

// samples holds one operation of each kind with every field set.
func samples() []ops.Op {
	onHive := ops.OnHive{HiveID: "gpu1"}
	ssh := ops.SSHAddress{SSHHost: "gpu1.lan", SSHPort: 2222, SSHUser: "vince"}
	return []ops.Op{
		ops.Status{},
		ops.SSHTest{SSHAddress: ssh},
		ops.HiveInstall{HiveID: "gpu1", SSHAddress: ssh, Port: 7834, BinaryPath: "/tmp/rbee", AddKey: true, IdleTimeout: "2h"},
		ops.HiveUninstall{HiveID: "gpu1", CatalogOnly: true, Models: true},
		ops.HiveUpdate{HiveID: "gpu1", NewName: "gpu2", SSHAddress: ssh, BinaryPath: "/tmp/rbee", RefreshCapabilities: true, IdleTimeout: "0s"},
		ops.HiveStart{HiveID: "gpu1"},
		ops.HiveStop{HiveID: "gpu1"},
		ops.HiveList{},
		ops.HiveGet{HiveID: "gpu1"},
		ops.ModelAlias{Alias: "fast", Model: "qwen3-0.6b"},
		ops.ModelAliases{},
		ops.ModelUnalias{Alias: "fast"},
		ops.HiveStatus{HiveID: "gpu1", RefreshCapabilities: true},
		ops.QueenDrain{},
		ops.QueenResume{},
		ops.HiveDrain{HiveID: "gpu1"},
		ops.HiveResume{HiveID: "gpu1"},
		ops.Explain{ID: "JOB4711JOB4711JOB"},
		ops.KeyCreate{
			Label: "laptop", Digest: ops.KeyDigest("secret"), Scopes: []ops.Scope{ops.ScopeInference, ops.ScopeJobs}, Models: []string{"tinybee"},
			RequestsPerMinute: 60, TokensPerMinute: 10000, Expires: new("30d"),
		},
		ops.KeyList{},
		ops.KeyRevoke{ID: "k1a2b3c", Forget: true},
		ops.Usage{Since: "4w", By: "model", Key: "web", Model: "qwen3"},
		ops.WorkerSpawn{
			OnHive: onHive, Model: "tinybee", Engine: "command", Device: "cuda:0", Parallel: 8, Context: 2048, Flags: []string{"flash-attn=on"}, Command: "vllm serve {model} --uds {socket}",
			Split: ops.Split{Hives: []string{"gpu1", "gpu2"}, Share: 0.25, PartOf: "gpu1/w1a2b3", PartBytes: 1 << 30, RoomOnly: true, WouldFit: true, Coming: &ops.Model{ID: "tinybee", HiveID: "gpu2"}},
		},
		ops.WorkerList{OnHive: onHive},
		ops.WorkerGet{OnHive: onHive, ID: "tinybee-1"},
		ops.WorkerDelete{OnHive: onHive, ID: "tinybee-1", IfIdle: true},
		ops.ModelCopy{Model: "qwen3", From: "gpu1", To: "gpu2", ID: "qwen"},
		ops.ModelDownload{OnHive: onHive, Model: "https://example.org/tinybee.gguf", ID: "tinybee"},
		ops.ModelList{OnHive: onHive},
		ops.ModelGet{OnHive: onHive, ID: "tinybee"},
		ops.ModelDelete{OnHive: onHive, ID: "tinybee"},
		ops.EngineList{OnHive: onHive},
		ops.EngineInstall{OnHive: onHive, Version: "b11669", Accelerator: "vulkan", From: "https://example.org/llama.cpp", Checksum: strings.Repeat("a1", 32)},
		ops.EngineRemove{OnHive: onHive, ID: "b11669-vulkan"},
		ops.ModelPin{OnHive: onHive, ID: "tinybee"},
		ops.ModelUnpin{OnHive: onHive, ID: "tinybee"},
		ops.Infer{
			OnHive: onHive, Model: "tinybee", Prompt: "Once upon a \"time\"\n", System: "Be short.", Raw: true, MaxTokens: 64,
			Temperature: new(0.5), TopP: new(0.9), TopK: new(20), MinP: new(0.1), Seed: new(int64(42)), Stop: []string{"\n\n", "The end"},
			Engine: "builtin", Device: "cpu", WorkerID: "tinybee-1", Priority: ops.Batch, Stream: new(false),
		},
	}
}

// golden compares text with a file, or writes the file.
func golden(t *testing.T, path string, text []byte) {
	t.Helper()
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, text, "", "  "); err != nil {
		t.Fatal(err)
	}
	pretty.WriteByte('\n')
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, pretty.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: `go test ./ops -update` writes it", err)
	}
	if diff := cmp.Diff(string(want), pretty.String()); diff != "" {
		t.Errorf("%s is what others rely on; it differs (-want +got):\n%s", path, diff)
	}
}

func TestOperationsLookOnTheWireAsTheyDid(t *testing.T) {
	sampled := map[string]bool{}
	for _, o := range samples() {
		sampled[o.Name()] = true
		t.Run(o.Name(), func(t *testing.T) {
			for _, f := range reflect.VisibleFields(reflect.TypeOf(o)) {
				if f.Tag.Get("json") != "-" && reflect.ValueOf(o).FieldByIndex(f.Index).IsZero() {
					t.Errorf("the sample leaves %s unset", f.Name)
				}
			}
			text, err := ops.Encode(o, "")
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", "wire", o.Name()+".json")
			golden(t, path, text)
			stored, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			sample := o
			if infer, ok := o.(ops.Infer); ok && infer.Raw {
				infer.System = "" // not both at once
				sample = infer
				stored, _ = ops.Encode(sample, "")
			}
			got, id, err := ops.Decode[ops.Op](stored)
			if err != nil || id != "" {
				t.Fatalf("Decode() = %v, %q", err, id)
			}
			if !reflect.DeepEqual(got, sample) {
				t.Errorf("Decode() = %#v, want %#v", got, sample)
			}
		})
	}
	for _, name := range names() {
		if !sampled[name] {
			t.Errorf("%s has no sample: add one with every field set", name)
		}
	}
}

func TestResultsLookOnTheWireAsTheyDid(t *testing.T) {
	for _, o := range ops.All() {
		_, method := handlerOf(t, o)
		kind := method.Type.Out(0)
		value := reflect.New(kind)
		fill(value.Elem())
		text, err := json.Marshal(value.Interface())
		if err != nil {
			t.Fatal(err)
		}
		golden(t, filepath.Join("testdata", "result", snake(kind.Name())+".json"), text)
		back := reflect.New(kind)
		if err := json.Unmarshal(text, back.Interface()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(value.Interface(), back.Interface()); diff != "" {
			t.Errorf("%s does not survive JSON (-want +got):\n%s", kind.Name(), diff)
		}
	}
}

// fill sets everything in v to something that is not zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint64:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(7.5)
	default:
		panic("fill does not know " + v.Kind().String())
	}
}

func TestEncodeOmitsWhatIsNotSet(t *testing.T) {
	for want, o := range map[string]ops.Op{
		`{"operation":"status"}`:                      ops.Status{},
		`{"operation":"infer","prompt":"a"}`:          ops.Infer{Prompt: "a"},
		`{"operation":"worker_get","id":"tinybee"}`:   ops.WorkerGet{ID: "tinybee"},
		`{"operation":"hive_uninstall","hive_id":""}`: ops.HiveUninstall{},
	} {
		if got, err := ops.Encode(o, ""); err != nil || string(got) != want {
			t.Errorf("Encode(%#v) = %s, %v; want %s", o, got, err, want)
		}
	}
}

func TestTheJobIDTravelsBesideTheOperation(t *testing.T) {
	const id = "0123456789_-abcXYZ"
	for _, o := range []ops.Op{ops.Status{}, ops.Infer{Prompt: "a"}} {
		text, err := ops.Encode(o, id)
		if err != nil {
			t.Fatal(err)
		}
		got, gotID, err := ops.Decode[ops.Op](text)
		if err != nil || gotID != id || !reflect.DeepEqual(got, o) {
			t.Errorf("Decode(%s) = %#v, %q, %v", text, got, gotID, err)
		}
	}
}

func TestDecodeTakesOnlyItsOwnArm(t *testing.T) {
	spawn := []byte(`{"operation":"worker_spawn"}`)
	if o, _, err := ops.Decode[ops.HiveOp](spawn); err != nil || o.Name() != "worker_spawn" {
		t.Errorf("Decode[HiveOp](worker_spawn) = %v, %v", o, err)
	}
	if o, _, err := ops.Decode[ops.WorkerSpawn](spawn); err != nil || o.Name() != "worker_spawn" {
		t.Errorf("Decode[WorkerSpawn](worker_spawn) = %v, %v", o, err)
	}
	for name, decode := range map[string]func([]byte) error{
		"the queen's arm": func(b []byte) error { _, _, err := ops.Decode[ops.QueenOp](b); return err },
		"infer alone":     func(b []byte) error { _, _, err := ops.Decode[ops.Infer](b); return err },
	} {
		err := decode(spawn)
		if e := ops.AsError(err); e == nil || e.Code != ops.CodeInvalid || e.Field != "operation" || !strings.Contains(e.Message, "worker_spawn is an operation of a hive's") || !strings.Contains(e.Hint, "the queen") {
			t.Errorf("%s took worker_spawn: %v", name, err)
		}
	}
	_, _, err := ops.Decode[ops.HiveOp]([]byte(`{"operation":"hive_list"}`))
	if e := ops.AsError(err); e == nil || e.Field != "operation" || !strings.Contains(e.Message, "hive_list is an operation of the queen's") {
		t.Errorf("a hive took hive_list: %v", err)
	}
}
