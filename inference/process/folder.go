package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Socket is the name of a program's socket in its folder.
const Socket = "engine.sock"

// longest is the longest path that the kernels take for a socket (sun_path of
// unix(7) holds 108 bytes on Linux and 104 on macOS, with a NUL).
const longest = 103

// temporary is how the names of temporary folders begin.
const temporary = "rbee-engine-"

// suits reports whether a socket in the folder can be listened on: its path is short
// enough, and has none of the commas at which llama-server divides its --host.
func suits(folder string) bool {
	return len(filepath.Join(folder, Socket)) <= longest && !strings.Contains(folder, ",")
}

// Folder returns a folder for a program's [Socket]: the wanted one, or where
// that is "" or its path will not do for a socket, a temporary one, which is to
// be removed in the end.
func Folder(wanted string) (folder string, aside bool, err error) {
	if wanted != "" {
		if folder, err = filepath.Abs(wanted); err != nil {
			return "", false, fmt.Errorf("find the engine's folder: %w", err)
		}
		if suits(folder) {
			return folder, false, nil
		}
	}
	if err := ClearFolder(wanted); err != nil { // of an earlier run
		return "", false, fmt.Errorf("clear the engine's folder: %w", err)
	}
	if folder, err = os.MkdirTemp("", temporary); err == nil && !suits(folder) {
		_ = os.Remove(folder) // it is empty
		folder, err = os.MkdirTemp("/tmp", temporary)
	}
	if err == nil && wanted != "" {
		err = os.Symlink(folder, filepath.Join(wanted, elsewhere))
		if errors.Is(err, fs.ErrNotExist) { // nobody clears up there either
			err = nil
		}
	}
	if err != nil {
		return "", false, fmt.Errorf("make a folder for the engine's socket: %w", err)
	}
	return folder, true, nil
}

// elsewhere is the name of a link, in the wanted folder, to a temporary one.
const elsewhere = "engine.elsewhere"

// ClearFolder removes the temporary folder that was taken in place of the wanted one,
// if there is one: who was killed could not do so.
func ClearFolder(wanted string) error {
	link := filepath.Join(wanted, elsewhere)
	folder, err := os.Readlink(link)
	if wanted == "" || err != nil || !strings.HasPrefix(filepath.Base(folder), temporary) {
		return nil //nolint:nilerr // there is none
	}
	return errors.Join(os.RemoveAll(folder), os.Remove(link))
}
