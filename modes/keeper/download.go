package keeper

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	if filepath.IsAbs(c.Op.Model) {
		if err := k.missingFile(c.Op.Model, c.Op.HiveID); err != nil {
			return err
		}
	} else if c.Op.HiveID == "" || c.Op.HiveID == ops.LocalHive {
		k.compareEnvironment(ctx)
	}
	return do(ctx, k, c.Op)
}

// downloading are the variables that decide where models come from, and how.
var downloading = []string{ops.SecretVariable, "HF_ENDPOINT", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"}

// compareEnvironment tells of variables for downloads that are set here, and not
// where this machine's hive runs: it was started before, with another environment.
func (k *Keeper) compareEnvironment(ctx context.Context) {
	if k.Queen != "" || !slices.ContainsFunc(downloading, func(name string) bool { return os.Getenv(name) != "" }) {
		return
	}
	client, err := k.client(ctx)
	if err != nil {
		return // the download says so
	}
	defer client.Close()
	var has ops.Variables
	if client.Post(ctx, ops.EnvironmentPath, ops.Environment{HiveID: ops.LocalHive}, &has) != nil {
		return // it is only a hint
	}
	for _, name := range downloading {
		value := os.Getenv(name)
		same := func(v ops.Variable) bool {
			return v.Name == name && (name == ops.SecretVariable && v.File == "" || v.Value == string(ops.Redact([]byte(value))))
		}
		if value != "" && !slices.ContainsFunc(has.Variables, same) {
			k.say("keeper: %s is set here, and another or none where the hive localhost runs: `rbee hive env localhost %s` gives it this one", name, name)
		}
	}
}

// Source is where a model comes from, as a person gives it: a path is one from the
// folder that the person is in, and the scheme of a URL may be in capitals.
func Source(given string) (string, error) {
	if strings.Contains(given, "://") {
		return ops.LowerScheme(given), nil
	}
	if given == "" || ops.IsModelReference(given) || strings.HasPrefix(given, ops.HiveScheme) {
		return given, nil
	}
	return filepath.Abs(given)
}

// repository is how a repository on Hugging Face is called, which people may give
// as its page shows it.
var repository = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(:[A-Za-z0-9._-]+)?$`)

// missingFile is the error of a file that is not on this machine, where it is to
// come from here. Those of other machines are theirs to find.
func (k *Keeper) missingFile(path, hive string) error {
	if hive != "" && hive != ops.LocalHive || k.Queen != "" {
		return nil
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no file %s on this machine", path).
		WithHint("is the path right? A model is hf:OWNER/REPOSITORY, a URL, or a GGUF file of this machine")
	here, err := os.Getwd()
	if err != nil {
		return e
	}
	given, err := filepath.Rel(here, path)
	switch {
	case err != nil:
	case ops.NearHub(given) != "":
		return e.WithHint("a repository on Hugging Face is given as %s", ops.NearHub(given))
	case repository.MatchString(given) && !strings.EqualFold(filepath.Ext(given), ".gguf"):
		return e.WithHint("a repository on Hugging Face is given as hf:%s", given)
	}
	return e
}
