package pacedtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build makes the program in the folder and returns its path. It is compiled without
// cgo, as rbee is: with it a process holds pages of the C library too.
func Build(folder string) (string, error) {
	path := filepath.Join(folder, "rbee")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", path, "rbee.dev/rbee/modes/pacedtest/rbee") //nolint:noctx // the compiler ends by itself
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the paced rbee: %w: %s", err, out)
	}
	return path, nil
}
