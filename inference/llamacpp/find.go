package llamacpp

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/process"
	"rbee.dev/rbee/ops"
)

// PathEnv names, in the environment, the llama-server to run in place of one
// that is looked for.
const PathEnv = "RBEE_LLAMA_SERVER"

// None is the value of [PathEnv] for no llama-server at all.
const None = "none"

// Find returns the path of llama-server: path itself where it is not "", else
// what [PathEnv] names, else the program on PATH, else that in one of the folders
// where people install programs and which a service's PATH often lacks.
func Find(path string) (string, error) {
	named := os.Getenv(PathEnv)
	if path == "" {
		path = named
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no %s that can be run: looked at PATH", Name).
		WithHint("`rbee engine install` brings llama.cpp; or see that its %s is on PATH or %s names it, or take the builtin engine", Name, PathEnv)
	switch path {
	case "":
		if found := Installed(); len(found) > 0 {
			return found[0], nil
		}
	case None:
		e.Message = fmt.Sprintf("there is no %s that can be run: %s=%s forbids it", Name, PathEnv, None)
		e = e.WithHint("unset it where the hive runs, or take the builtin engine")
	default:
		found, err := exec.LookPath(path)
		if err == nil {
			return filepath.Abs(found)
		}
		for inner := err; inner != nil; inner = errors.Unwrap(inner) {
			err = inner // the path is told already
		}
		e.Message = fmt.Sprintf("there is no %s that can be run: looked at %s (%v)", Name, path, err)
		if path == named {
			e = e.WithHint("%s", namedHint)
		}
	}
	e.Field = "worker"
	return "", e
}

// namedHint is what to do about a program that [PathEnv] names in vain.
const namedHint = PathEnv + " names it, where the hive runs: name another there, or unset it and have one looked for"

// Installed are the paths of the programs that [Find] looks among: the one on
// PATH, and those in the folders where people install programs. The first is
// the one that it takes.
func Installed() (paths []string) {
	places := []string{Name, "/usr/local/bin/" + Name, "/opt/homebrew/bin/" + Name}
	if home, err := os.UserHomeDir(); err == nil {
		places = append(places, filepath.Join(home, ".local", "bin", Name))
	}
	for _, place := range places {
		found, err := exec.LookPath(place)
		if err == nil {
			found, err = filepath.Abs(found)
		}
		if err == nil && !slices.Contains(paths, found) {
			paths = append(paths, found)
		}
	}
	return paths
}

// environment is what of this process's environment the program gets: all but
// the variables that stand for its options, which are set by rbee alone, and
// credentials that it has no use for. Libraries beside the program are found,
// also by those archives of llama.cpp whose programs do not look there.
func environment(env []string, program string) []string {
	const variable = "LD_LIBRARY_PATH"
	kept := make([]string, 0, len(env)+1)
	folder := filepath.Dir(program)
	beside, err := filepath.Glob(filepath.Join(escape(folder), "lib*.so*"))
	if err != nil || len(beside) == 0 {
		folder = ""
	}
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		switch {
		case strings.HasPrefix(name, "LLAMA_"), name == "HF_TOKEN", name == "MTMD_BACKEND_DEVICE":
		case name == variable && folder != "":
			kept = append(kept, v[:len(name)+1]+folder+string(filepath.ListSeparator)+v[len(name)+1:])
			folder = ""
		default:
			kept = append(kept, v)
		}
	}
	if folder != "" {
		kept = append(kept, variable+"="+folder)
	}
	return process.ByBus(patient(kept))
}

// remember adds to an environment how much memory prompts that were seen may take,
// which a flag would overrule. Programs that are too old for that do not look at it
// (llama.cpp pull request 16391), as they would at an argument.
func remember(s inference.Spec, env []string) []string {
	if s.PromptCache == 0 {
		return env
	}
	return append(env, "LLAMA_ARG_CACHE_RAM="+strconv.FormatInt(max(0, s.PromptCache)>>20, 10))
}

// patience is what lets threads that wait for each other sleep soon in place of
// spinning, of the two libraries that llama.cpp's threads come from: GCC's, where
// it is a number of turns (300,000 by default: milliseconds), and LLVM's, where it
// is milliseconds (200 by default). A thread that spins keeps the one that it
// waits for from running wherever there are more threads than cores: two
// servers on two cores come to a hundredth of their speed. A hundred turns are a
// few microseconds, which is what the threads of one that is alone wait for.
var patience = []string{"GOMP_SPINCOUNT=100", "KMP_BLOCKTIME=0"}

// patient adds patience to an environment that does not say itself how to wait.
func patient(env []string) []string {
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		if name == "OMP_WAIT_POLICY" || name == "GOMP_SPINCOUNT" || name == "KMP_BLOCKTIME" {
			return env
		}
	}
	return append(env, patience...)
}
