package ops

import (
	"context"
	"encoding/json"
	"fmt"
)

// Op is one operation. The union is sealed: only this package can add to it.
//
//sumtype:decl
type Op interface {
	// Name is the operation's snake_case name on the wire.
	Name() string
	// Validate reports the first field that is out of range, as an *Error
	// with code invalid that names the field.
	Validate() error
	sealed()
	decodeResult(json.RawMessage) (any, error)
}

// QueenOp is an operation that the queen does itself.
type QueenOp interface {
	Op
	onQueen(context.Context, QueenHandler) (any, error)
}

// HiveOp is an operation that the queen forwards to a hive.
type HiveOp interface {
	Op
	// Hive is the name of the hive the operation is for; empty leaves the
	// choice to the queen (see [OnHive]).
	Hive() string
	onHive(context.Context, HiveHandler) (any, error)
}

// Returning ties an operation to its result type R.
type Returning[R any] interface {
	Op
	returns(R)
}

// HandleQueen hands o to its method of h.
func HandleQueen(ctx context.Context, h QueenHandler, o QueenOp) (any, error) {
	return o.onQueen(ctx, h)
}

// HandleHive hands o to its method of h.
func HandleHive(ctx context.Context, h HiveHandler, o HiveOp) (any, error) {
	return o.onHive(ctx, h)
}

// op is embedded in every operation: it seals the union and carries the type
// of the result.
type op[R any] struct{}

func (op[R]) sealed()   {}
func (op[R]) returns(R) {}

func (op[R]) decodeResult(raw json.RawMessage) (any, error) {
	var r R
	err := json.Unmarshal(raw, &r)
	return r, err
}

// DecodeResult reads the result of the operation called name as that
// operation's result type. A name that is none, as of a newer build, is an error
// with code not_found.
func DecodeResult(name string, raw json.RawMessage) (any, error) {
	for _, o := range All() {
		if o.Name() == name {
			return o.decodeResult(raw)
		}
	}
	return nil, Errorf(CodeNotFound, "there is no operation %q", name)
}

// done passes a handler's answer on. Its first parameter makes the compiler
// refuse a handler whose result is not the one that the operation declares.
func done[R any](_ Returning[R], result R, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return result, nil
}

// OnHive is embedded in every hive operation.
type OnHive struct {
	// HiveID names the hive. Empty means: lists cover all hives, infer and
	// worker_spawn go where the queen chooses, everything else goes to
	// "localhost".
	HiveID string `json:"hive_id,omitempty" name:"hive" placeholder:"NAME" help:"Hive to use (default: localhost; lists cover all, and a worker or an answer comes from where the queen chooses)."`
}

// Hive returns the name of the hive the operation is for, or "".
func (o OnHive) Hive() string { return o.HiveID }

// On returns o aimed at the hive named id, whatever it named before.
func On(o HiveOp, id string) HiveOp {
	on := OnHive{HiveID: id}
	switch o := o.(type) {
	case WorkerSpawn:
		o.OnHive = on
		return o
	case WorkerList:
		o.OnHive = on
		return o
	case WorkerGet:
		o.OnHive = on
		return o
	case WorkerDelete:
		o.OnHive = on
		return o
	case ModelDownload:
		o.OnHive = on
		return o
	case ModelList:
		o.OnHive = on
		return o
	case ModelGet:
		o.OnHive = on
		return o
	case ModelDelete:
		o.OnHive = on
		return o
	case EngineList:
		o.OnHive = on
		return o
	case EngineInstall:
		o.OnHive = on
		return o
	case EngineRemove:
		o.OnHive = on
		return o
	case ModelPin:
		o.OnHive = on
		return o
	case ModelUnpin:
		o.OnHive = on
		return o
	case Infer:
		o.OnHive = on
		return o
	}
	panic(fmt.Sprintf("ops: On does not know %T", o))
}

// All returns one zero value of every operation, in the order of the design's
// table. It is the registry that decoding, tests and help walk.
func All() []Op {
	return []Op{
		Status{},
		SSHTest{},
		HiveInstall{},
		HiveUninstall{},
		HiveUpdate{},
		HiveStart{},
		HiveStop{},
		HiveList{},
		HiveGet{},
		HiveStatus{},
		KeyCreate{},
		KeyList{},
		KeyRevoke{},
		Usage{},
		ModelCopy{},
		ModelAlias{},
		ModelAliases{},
		ModelUnalias{},
		QueenDrain{},
		QueenResume{},
		HiveDrain{},
		HiveResume{},
		Explain{},
		WorkerSpawn{},
		WorkerList{},
		WorkerGet{},
		WorkerDelete{},
		ModelDownload{},
		ModelList{},
		ModelGet{},
		ModelDelete{},
		EngineList{},
		EngineInstall{},
		EngineRemove{},
		ModelPin{},
		ModelUnpin{},
		Infer{},
	}
}
