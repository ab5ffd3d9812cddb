package daemon

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
)

// Version is rbee's release. It is set when a release is linked
// (-ldflags "-X rbee.dev/rbee/modes/daemon.Version=1.2.3").
var Version = "0.1.0-dev"

// buildDigits is how many hex digits of the binary's SHA-256 name a build.
const buildDigits = 12

// known is what the cache folder remembers of a binary, so that a keeper does
// not read tens of megabytes at each command.
type known struct {
	Path  string `json:"path"`
	Size  int64  `json:"size"`
	MTime int64  `json:"mtime"` // nanoseconds since 1970
	Build string `json:"build"`
}

// Build is the identity of the binary at path: the first 12 hex digits of its
// SHA-256. The answer is remembered in h's cache by path, size and time.
func Build(h home.Home, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("look at the binary: %w", err)
	}
	want := known{Path: path, Size: info.Size(), MTime: info.ModTime().UnixNano()}
	note := filepath.Join(h.Binaries(), "last.json")
	if text, err := os.ReadFile(note); err == nil {
		var k known
		if json.Unmarshal(text, &k) == nil && k.Build != "" {
			want.Build = k.Build
			if k == want {
				return k.Build, nil
			}
		}
	}
	if want.Build, err = hash(path); err != nil {
		return "", err
	}
	if text, err := json.Marshal(want); err == nil {
		// Only a memory: without it the next command hashes again.
		_ = renameio.WriteFile(note, text, 0o600)
	}
	return want.Build, nil
}

func hash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the binary: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("read the binary: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil))[:buildDigits], nil
}

// Install puts a copy of the binary at path into h's cache, named by its build,
// and returns the copy's path. Daemons run from it: `go run` deletes its binary
// when it ends, and an upgrade replaces the installed one under them.
func Install(h home.Home, path string) (string, error) {
	build, err := Build(h, path)
	if err != nil {
		return "", err
	}
	copied := filepath.Join(h.Binaries(), "rbee-"+build)
	if path == copied {
		return copied, nil
	}
	if got, err := hash(copied); err == nil && got == build && os.Chmod(copied, 0o700) == nil { //nolint:gosec // it is a program
		return copied, nil
	}
	if err := copyBinary(path, copied); err != nil {
		return "", ops.Errorf(ops.CodeUnavailable, "copy the binary to the cache: %w", err).WithHint(home.Elsewhere)
	}
	return copied, nil
}

// putBack copies the running program to where it was started from, when somebody has
// removed it there, as with the cache that it is in. Linux still has it.
func putBack(path string) error {
	if own, err := os.Executable(); err != nil || own != path {
		return fmt.Errorf("%s is not the running program: %w", path, fs.ErrNotExist)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return copyBinary("/proc/self/exe", path)
}

func copyBinary(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := renameio.NewPendingFile(to, renameio.WithPermissions(0o700), renameio.WithTempDir(filepath.Dir(to)))
	if err != nil {
		return err
	}
	defer out.Cleanup() //nolint:errcheck // after the rename there is nothing left to clean
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.CloseAtomicallyReplace()
}

// Prune removes the copies of the binary that no running daemon was started
// from. The one at keep stays.
func Prune(h home.Home, keep string) error {
	entries, err := os.ReadDir(h.Binaries())
	if err != nil {
		return fmt.Errorf("list copies of the binary: %w", err)
	}
	used := map[string]bool{keep: true}
	for _, path := range recordFiles(h) {
		if r, err := Read(path); err == nil {
			used[r.Binary] = true
		}
	}
	for _, e := range entries {
		path := filepath.Join(h.Binaries(), e.Name())
		if !strings.HasPrefix(e.Name(), "rbee-") || used[path] {
			continue
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove an old copy of the binary: %w", err)
		}
	}
	return nil
}

// recordFiles lists where running daemons say what they run from.
func recordFiles(h home.Home) []string {
	return append([]string{h.PIDFile("queen"), h.PIDFile("hive")}, workerRecords(h)...)
}

// workerRecords lists the pid files of h's workers.
func workerRecords(h home.Home) []string {
	files, err := filepath.Glob(filepath.Join(h.Workers(), "*", home.WorkerPID))
	if err != nil { // only of a malformed pattern
		return nil
	}
	return files
}
