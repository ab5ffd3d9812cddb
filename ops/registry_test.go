package ops_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

var (
	queenHandler = reflect.TypeFor[ops.QueenHandler]()
	hiveHandler  = reflect.TypeFor[ops.HiveHandler]()
)

// handlerOf returns the handler interface that has a method for o, and the
// method.
func handlerOf(t *testing.T, o ops.Op) (reflect.Type, reflect.Method) {
	t.Helper()
	name := reflect.TypeOf(o).Name()
	onQueen, queenHas := queenHandler.MethodByName(name)
	onHive, hiveHas := hiveHandler.MethodByName(name)
	switch {
	case queenHas && hiveHas:
		t.Fatalf("both handler interfaces have a method %s: an operation is in one arm", name)
	case queenHas:
		return queenHandler, onQueen
	case hiveHas:
		return hiveHandler, onHive
	}
	t.Fatalf("no handler interface has a method %s: add it to QueenHandler or HiveHandler", name)
	return nil, reflect.Method{}
}

func TestEachOperationIsInOneArmAndItsHandlerHasAMethodForIt(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range ops.All() {
		kind := reflect.TypeOf(o)
		if seen[o.Name()] {
			t.Errorf("All lists %s twice", o.Name())
		}
		seen[o.Name()] = true
		if want := snake(kind.Name()); o.Name() != want {
			t.Errorf("%s is called %q on the wire, want %q", kind.Name(), o.Name(), want)
		}
		_, isQueen := o.(ops.QueenOp)
		_, isHive := o.(ops.HiveOp)
		handler, method := handlerOf(t, o)
		if isQueen == isHive || isQueen != (handler == queenHandler) {
			t.Errorf("%s is in the queen's arm: %t, in the hive's: %t, but its method is of %s", kind.Name(), isQueen, isHive, handler.Name())
		}
		if method.Type.NumIn() != 2 || method.Type.In(1) != kind {
			t.Errorf("%s.%s takes %s, want (context.Context, %s)", handler.Name(), method.Name, method.Type, kind.Name())
		}
	}
	for _, handler := range []reflect.Type{queenHandler, hiveHandler} {
		for i := range handler.NumMethod() {
			if name := snake(handler.Method(i).Name); !seen[name] {
				t.Errorf("%s has a method for %s, which All does not list", handler.Name(), name)
			}
		}
	}
}

// snake writes a type's name as its operation is called: SSHTest is ssh_test.
func snake(name string) string {
	parted := regexp.MustCompile(`([a-z])([A-Z])|([A-Z])([A-Z][a-z])`).ReplaceAllString(name, "${1}${3}_${2}${4}")
	return strings.ToLower(parted)
}

func TestTheOperationsAreThoseOfTheDesign(t *testing.T) {
	want := []string{
		"status", "ssh_test", "hive_install", "hive_uninstall", "hive_update", "hive_start", "hive_stop", "hive_list", "hive_get", "hive_status",
		"worker_spawn", "worker_list", "worker_get", "worker_delete", "model_download", "model_list", "model_get", "model_delete", "infer",
	}
	got := names()
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("the operation %s is missing", name)
		}
	}
}

func names() []string {
	var list []string
	for _, o := range ops.All() {
		list = append(list, o.Name())
	}
	return list
}

func TestFieldsOfTheWireContractKeepTheirNames(t *testing.T) {
	var all []string
	for _, o := range ops.All() {
		fields := ops.FieldNames(o)
		all = append(all, fields...)
		for _, reserved := range []string{"operation", "job_id"} {
			if slices.Contains(fields, reserved) {
				t.Errorf("%s has a field %q, which is reserved", o.Name(), reserved)
			}
		}
	}
	for _, name := range []string{
		"hive_id", "model", "worker", "device", "id", "prompt", "max_tokens", "temperature", "top_p", "top_k", "worker_id",
		"stream", "ssh_host", "ssh_port", "ssh_user", "port", "binary_path", "catalog_only", "refresh_capabilities",
	} {
		if !slices.Contains(all, name) {
			t.Errorf("no operation has the field %s of the wire contract", name)
		}
	}
}

func TestFieldNamesAreSnakeCaseAndPromoted(t *testing.T) {
	want := []string{"hive_id", "ssh_host", "ssh_port", "ssh_user", "port", "binary_path", "add_key", "idle_timeout"}
	if got := ops.FieldNames(ops.HiveInstall{}); !slices.Equal(got, want) {
		t.Errorf("FieldNames(HiveInstall) = %q, want %q", got, want)
	}
	legal := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	for _, o := range ops.All() {
		for _, name := range ops.FieldNames(o) {
			if !legal.MatchString(name) {
				t.Errorf("%s has the field %q, want snake_case", o.Name(), name)
			}
		}
	}
}

func TestOnAimsEveryHiveOperation(t *testing.T) {
	for _, o := range ops.All() {
		if h, ok := o.(ops.HiveOp); ok {
			aimed := ops.On(ops.On(h, "gpu1"), "gpu2")
			if aimed.Hive() != "gpu2" || aimed.Name() != o.Name() {
				t.Errorf("On(%s) = %#v", o.Name(), aimed)
			}
		}
	}
	whole := ops.On(ops.ModelGet{ID: "tinybee"}, "gpu1")
	if whole != (ops.ModelGet{OnHive: ops.OnHive{HiveID: "gpu1"}, ID: "tinybee"}) {
		t.Errorf("On lost something: %#v", whole)
	}
}

func TestEachOperationReachesItsMethodAndItsResultComesBack(t *testing.T) {
	refusal := errors.New("not today")
	for _, o := range ops.All() {
		t.Run(o.Name(), func(t *testing.T) {
			r := &recorder{}
			result, err := dispatch(t, r, o)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(r.did, o) {
				t.Errorf("the handler was given %#v, want %#v", r.did, o)
			}
			_, method := handlerOf(t, o)
			if got, want := reflect.TypeOf(result), method.Type.Out(0); got != want {
				t.Errorf("the result is a %v, want a %v", got, want)
			}
			if _, err := json.Marshal(result); err != nil {
				t.Errorf("the result is no JSON: %v", err)
			}
			r.err = refusal
			if result, err := dispatch(t, r, o); !errors.Is(err, refusal) || result != nil {
				t.Errorf("a refusal came back as %v, %v", result, err)
			}
		})
	}
}

func dispatch(t *testing.T, r *recorder, o ops.Op) (any, error) {
	t.Helper()
	switch o := o.(type) {
	case ops.QueenOp:
		return ops.HandleQueen(t.Context(), r, o)
	case ops.HiveOp:
		return ops.HandleHive(t.Context(), r, o)
	}
	t.Fatalf("%T is in no arm", o)
	return nil, nil
}

// recorder handles every operation by remembering it.
type recorder struct {
	did ops.Op
	err error
}

// record remembers o and answers with the zero result.
func record[R any](r *recorder, o ops.Returning[R]) (R, error) {
	var zero R
	r.did = o
	return zero, r.err
}

func (r *recorder) Status(_ context.Context, o ops.Status) (ops.QueenReport, error) {
	return record(r, o)
}

func (r *recorder) SSHTest(_ context.Context, o ops.SSHTest) (ops.SSHReport, error) {
	return record(r, o)
}

func (r *recorder) HiveInstall(_ context.Context, o ops.HiveInstall) (ops.Hive, error) {
	return record(r, o)
}

func (r *recorder) HiveUninstall(_ context.Context, o ops.HiveUninstall) (ops.HiveRemoved, error) {
	return record(r, o)
}

func (r *recorder) HiveUpdate(_ context.Context, o ops.HiveUpdate) (ops.Hive, error) {
	return record(r, o)
}

func (r *recorder) HiveStart(_ context.Context, o ops.HiveStart) (ops.Hive, error) {
	return record(r, o)
}

func (r *recorder) HiveStop(_ context.Context, o ops.HiveStop) (ops.Hive, error) {
	return record(r, o)
}

func (r *recorder) HiveList(_ context.Context, o ops.HiveList) (ops.Hives, error) {
	return record(r, o)
}

func (r *recorder) HiveGet(_ context.Context, o ops.HiveGet) (ops.Hive, error) {
	return record(r, o)
}

func (r *recorder) HiveStatus(_ context.Context, o ops.HiveStatus) (ops.Hive, error) {
	return record(r, o)
}

func (r *recorder) KeyCreate(_ context.Context, o ops.KeyCreate) (ops.Key, error) {
	return record(r, o)
}

func (r *recorder) KeyList(_ context.Context, o ops.KeyList) (ops.Keys, error) {
	return record(r, o)
}

func (r *recorder) KeyRevoke(_ context.Context, o ops.KeyRevoke) (ops.KeyEnded, error) {
	return record(r, o)
}

func (r *recorder) Usage(_ context.Context, o ops.Usage) (ops.UsageReport, error) {
	return record(r, o)
}

func (r *recorder) ModelCopy(_ context.Context, o ops.ModelCopy) (ops.Model, error) {
	return record(r, o)
}

func (r *recorder) ModelAlias(_ context.Context, o ops.ModelAlias) (ops.Alias, error) {
	return record(r, o)
}

func (r *recorder) ModelAliases(_ context.Context, o ops.ModelAliases) (ops.Aliases, error) {
	return record(r, o)
}

func (r *recorder) ModelUnalias(_ context.Context, o ops.ModelUnalias) (ops.AliasRemoved, error) {
	return record(r, o)
}

func (r *recorder) WorkerSpawn(_ context.Context, o ops.WorkerSpawn) (ops.Worker, error) {
	return record(r, o)
}

func (r *recorder) WorkerList(_ context.Context, o ops.WorkerList) (ops.Workers, error) {
	return record(r, o)
}

func (r *recorder) WorkerGet(_ context.Context, o ops.WorkerGet) (ops.Worker, error) {
	return record(r, o)
}

func (r *recorder) WorkerDelete(_ context.Context, o ops.WorkerDelete) (ops.WorkerDeleted, error) {
	return record(r, o)
}

func (r *recorder) ModelDownload(_ context.Context, o ops.ModelDownload) (ops.Model, error) {
	return record(r, o)
}

func (r *recorder) ModelList(_ context.Context, o ops.ModelList) (ops.Models, error) {
	return record(r, o)
}

func (r *recorder) ModelGet(_ context.Context, o ops.ModelGet) (ops.Model, error) {
	return record(r, o)
}

func (r *recorder) ModelDelete(_ context.Context, o ops.ModelDelete) (ops.ModelDeleted, error) {
	return record(r, o)
}

func (r *recorder) EngineList(_ context.Context, o ops.EngineList) (ops.Engines, error) {
	return record(r, o)
}

func (r *recorder) EngineInstall(_ context.Context, o ops.EngineInstall) (ops.Engine, error) {
	return record(r, o)
}

func (r *recorder) EngineRemove(_ context.Context, o ops.EngineRemove) (ops.EngineRemoved, error) {
	return record(r, o)
}

func (r *recorder) Infer(_ context.Context, o ops.Infer) (ops.Answer, error) {
	return record(r, o)
}

func (r *recorder) QueenDrain(_ context.Context, o ops.QueenDrain) (ops.DrainState, error) {
	return record(r, o)
}

func (r *recorder) QueenResume(_ context.Context, o ops.QueenResume) (ops.DrainState, error) {
	return record(r, o)
}

func (r *recorder) HiveDrain(_ context.Context, o ops.HiveDrain) (ops.DrainState, error) {
	return record(r, o)
}

func (r *recorder) HiveResume(_ context.Context, o ops.HiveResume) (ops.DrainState, error) {
	return record(r, o)
}

func (r *recorder) Explain(_ context.Context, o ops.Explain) (ops.Explanation, error) {
	return record(r, o)
}

func (r *recorder) ModelPin(_ context.Context, o ops.ModelPin) (ops.Model, error) {
	return record(r, o)
}

func (r *recorder) ModelUnpin(_ context.Context, o ops.ModelUnpin) (ops.Model, error) {
	return record(r, o)
}
