package keeper

import (
	"context"

	"rbee.dev/rbee/ops"
)

// WorkerSpawn is `rbee worker spawn`: the operation, with a flag for the model
// beside the plain word.
type WorkerSpawn struct {
	Op    ops.WorkerSpawn `embed:""`
	Named string          `name:"model" placeholder:"MODEL" help:"The same as the plain word."`
}

// Help is the examples that --help shows.
func (c *WorkerSpawn) Help() string {
	return "Examples:\n  " + examples[c.Op.Name()] +
		"\n  rbee worker spawn big --hives gpu1,gpu2            (too big for one machine)" +
		"\n  rbee worker spawn qwen3 --flag cache-type-k=q8_0 --flag cache-type-v=q8_0 --flag jinja" +
		"\n  rbee worker spawn qwen3 --engine command --command \"vllm serve {model} --served-model-name {name} --uds {socket}\"" +
		"\n\n`rbee engine flags` lists the settings of llama.cpp's that --flag takes.\n" +
		"A worker with settings comes back with them, until `rbee worker delete` ends it."
}

// Run sends the operation and shows its result.
func (c *WorkerSpawn) Run(ctx context.Context, k *Keeper) error {
	switch {
	case c.Named == "":
	case c.Op.Model != "" && c.Op.Model != c.Named:
		return ops.Invalid("model", "is given twice: as %s and by --model as %s", c.Op.Model, c.Named)
	default:
		c.Op.Model = c.Named
	}
	return do(ctx, k, c.Op)
}
