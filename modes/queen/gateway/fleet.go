package gateway

import (
	"context"
	"net"

	"rbee.dev/rbee/ops"
)

// Fleet is the hives and workers that requests may go to.
type Fleet interface {
	// Workers lists the workers of the hives that are up.
	Workers() []ops.Worker
	// Models lists the models on the hives' disks, HiveID with each.
	Models(ctx context.Context) []ops.Model
	// Aliases returns the other names of models, and what each means. Nobody may
	// change it.
	Aliases() map[string]string
	// JustPut looks whether a model has come that no hive has told of yet, as one that
	// a person has copied in, and has it known then.
	JustPut(ctx context.Context, model string) bool
	// Bring returns the model that a reference means (see
	// [ops.IsModelReference]). One that no hive has is downloaded, if that may be.
	Bring(ctx context.Context, reference string) (ops.Model, error)
	// HasCard reports whether a hive has a GPU that models go to by themselves.
	HasCard(hive string) bool
	// Unload ends a worker that has nothing to do and whose model is not pinned.
	Unload(ctx context.Context, w ops.Worker) error
	// Dial connects to a worker's API.
	Dial(ctx context.Context, hive, worker string) (net.Conn, error)
}
