package keeper

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
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
		if err := k.missingFile(m, path, c.Op.HiveID); err != nil {
			return err
		}
		c.Op.Model = path
	}
	return do(ctx, k, c.Op)
}

// repository is how a repository on Hugging Face is called, which people may give
// as its page shows it.
var repository = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(:[A-Za-z0-9._-]+)?$`)

// missingFile is the error of a file that is not on this machine, where it is to
// come from here. Those of other machines are theirs to find.
func (k *Keeper) missingFile(given, path, hive string) error {
	if hive != "" && hive != ops.LocalHive || k.Queen != "" {
		return nil
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no file %s on this machine", path)
	if repository.MatchString(given) {
		return e.WithHint("a repository on Hugging Face is given as hf:%s", given)
	}
	return e
}
