package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Socket is the name of a program's socket in its folder.
const Socket = "engine.sock"

// longest is the longest path that the kernels take for a socket (sun_path of
// unix(7) holds 108 bytes on Linux and 104 on macOS, with a NUL).
const longest = 103

// suits reports whether a socket in the folder can be listened on: its path is short
// enough, and has none of the commas at which llama-server divides its --host.
func suits(folder string) bool {
	return len(filepath.Join(folder, Socket)) <= longest && !strings.Contains(folder, ",")
}

// Folder returns a folder for a program's [Socket]: the wanted one, or where
// that is "" or its path will not do for a socket, a temporary one, which is to
// be removed in the end.
func Folder(wanted string) (folder string, temporary bool, err error) {
	if wanted != "" {
		if folder, err = filepath.Abs(wanted); err != nil {
			return "", false, fmt.Errorf("find the engine's folder: %w", err)
		}
		if suits(folder) {
			return folder, false, nil
		}
	}
	if folder, err = os.MkdirTemp("", "rbee-engine-"); err == nil && !suits(folder) {
		_ = os.Remove(folder) // it is empty
		folder, err = os.MkdirTemp("/tmp", "rbee-engine-")
	}
	if err != nil {
		return "", false, fmt.Errorf("make a folder for the engine's socket: %w", err)
	}
	return folder, true, nil
}
