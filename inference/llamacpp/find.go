package llamacpp

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"rbee.dev/rbee/ops"
)

// PathEnv names, in the environment, the llama-server to run in place of one
// that is looked for.
const PathEnv = "RBEE_LLAMA_SERVER"

// Find returns the path of llama-server: path itself where it is not "", else
// what [PathEnv] names, else the program on PATH, else that in one of the folders
// where people install programs and which a service's PATH often lacks.
func Find(path string) (string, error) {
	if path == "" {
		path = os.Getenv(PathEnv)
	}
	places := []string{path}
	if path == "" {
		places = []string{Name, "/usr/local/bin/" + Name, "/opt/homebrew/bin/" + Name}
		if home, err := os.UserHomeDir(); err == nil {
			places = append(places, filepath.Join(home, ".local", "bin", Name))
		}
	}
	for _, place := range places {
		if found, err := exec.LookPath(place); err == nil {
			return filepath.Abs(found)
		}
	}
	where := path
	if where == "" {
		where = "PATH"
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no %s that can be run: looked at %s", Name, where).
		WithHint("install llama.cpp so that its %s is on PATH or %s names it, or take the builtin engine", Name, PathEnv)
	e.Field = "worker"
	return "", e
}

// environment is what of this process's environment the program gets: all but
// the variables that stand for its options, which are set by rbee alone, and
// credentials that it has no use for.
func environment(env []string) []string {
	kept := make([]string, 0, len(env))
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		switch {
		case strings.HasPrefix(name, "LLAMA_"), name == "HF_TOKEN", name == "MTMD_BACKEND_DEVICE":
		default:
			kept = append(kept, v)
		}
	}
	return kept
}
