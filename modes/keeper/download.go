package keeper

import (
	"context"
	"path/filepath"
	"strings"

	"rbee.dev/rbee/ops"
)

// ModelDownload is `rbee model download`: the operation, with a path that is
// taken from where the person is.
type ModelDownload struct {
	Op ops.ModelDownload `embed:""`
}

// Help is the example that --help shows.
func (c *ModelDownload) Help() string {
	return "Examples:\n  " + examples[c.Op.Name()] + "\n  rbee model download https://example.org/models/story.gguf" +
		"\n  rbee model download hf:Qwen/Qwen3-0.6B-GGUF        (:Q8_0 or :FILE.gguf chooses)"
}

// Run sends the operation and shows its result.
func (c *ModelDownload) Run(ctx context.Context, k *Keeper) error {
	if m := c.Op.Model; m != "" && !strings.Contains(m, "://") && !strings.HasPrefix(m, "hf:") && !strings.HasPrefix(m, ops.HiveScheme) {
		path, err := filepath.Abs(m)
		if err != nil {
			return ops.Invalid("model", "%q is no path: %w", m, err)
		}
		c.Op.Model = path
	}
	return do(ctx, k, c.Op)
}
