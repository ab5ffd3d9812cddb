package pacedtest

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// Build makes the program in the folder and returns its path. It is compiled as the
// tests' own rbee is, so that only the linking is left to do.
func Build(folder string) (string, error) {
	path := filepath.Join(folder, "rbee")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", path, "rbee.dev/rbee/modes/pacedtest/rbee") //nolint:noctx // the compiler ends by itself
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the paced rbee: %w: %s", err, out)
	}
	return path, nil
}
