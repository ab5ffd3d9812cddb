package process

import (
	"fmt"
	"os"
	"path/filepath"
)

// Socket is the name of a program's socket in its folder.
const Socket = "engine.sock"

// longest is the longest path that the kernels take for a socket (sun_path of
// unix(7) holds 108 bytes on Linux and 104 on macOS, with a NUL).
const longest = 103

// Folder returns a folder for a program's [Socket]: the wanted one, or where
// that is "" or its path is too long for a socket, a temporary one, which is to
// be removed in the end.
func Folder(wanted string) (folder string, temporary bool, err error) {
	if wanted != "" {
		if folder, err = filepath.Abs(wanted); err != nil {
			return "", false, fmt.Errorf("find the engine's folder: %w", err)
		}
		if len(filepath.Join(folder, Socket)) <= longest {
			return folder, false, nil
		}
	}
	if folder, err = os.MkdirTemp("", "rbee-engine-"); err == nil && len(filepath.Join(folder, Socket)) > longest {
		_ = os.Remove(folder) // it is empty
		folder, err = os.MkdirTemp("/tmp", "rbee-engine-")
	}
	if err != nil {
		return "", false, fmt.Errorf("make a folder for the engine's socket: %w", err)
	}
	return folder, true, nil
}
