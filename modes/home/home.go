// Package home names the files of rbee: where its configuration, state and
// cache lie, and what each file in them is called. It is the only place that
// knows. It makes the folders, but reads and writes none of the files.
package home

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"rbee.dev/rbee/ops"
)

// Home is the three folders that rbee keeps its files in. They are one
// person's: nobody else may look into them, since the sockets and the token in
// State give full use of rbee.
type Home struct {
	Config string // what a person writes
	State  string // what must survive a restart: database, logs, pid files, sockets
	Cache  string // what can be had again: models, copies of the binary
}

// Find returns the folders: below $RBEE_HOME if it is set, else as the XDG Base
// Directory Specification says (https://specifications.freedesktop.org/basedir-spec).
// getenv is os.Getenv or a test's stand-in.
func Find(getenv func(string) string) (Home, error) {
	h, err := find(getenv)
	if err != nil {
		return Home{}, err
	}
	for _, dir := range []string{h.Config, h.State, h.Cache} {
		if err := check(dir); err != nil {
			return Home{}, err
		}
	}
	return h, nil
}

const (
	// longest is how many bytes the path of a folder may have. SQLite takes 512 for a
	// file's; with those of models below it, every system has room.
	longest = 480
	// longestName is how many bytes the name of a file or folder may have (NAME_MAX).
	longestName = 255
)

// check refuses what cannot be the path of a folder. Whether it can be written to is seen
// when it is made.
func check(dir string) error {
	if len(dir) > longest {
		return ops.Errorf(ops.CodeInvalid, "the path of rbee's folder is too long, %d bytes where %d are the most: %.60s…", len(dir), longest, dir).
			WithHint("set RBEE_HOME to a shorter one")
	}
	for name := range strings.SplitSeq(dir, string(filepath.Separator)) {
		if len(name) > longestName {
			return ops.Errorf(ops.CodeInvalid, "a name in the path of rbee's folder is too long, %d bytes where %d are the most: %.60s…", len(name), longestName, name).
				WithHint("set RBEE_HOME to a shorter one")
		}
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() || errors.Is(err, syscall.ENOTDIR) {
		return ops.Errorf(ops.CodeInvalid, "rbee's folder cannot be %s: a file is there, or on the way", dir).
			WithHint("set RBEE_HOME to a folder of yours")
	}
	return nil
}

func find(getenv func(string) string) (Home, error) {
	if root := getenv("RBEE_HOME"); root != "" {
		abs, err := filepath.Abs(root)
		if err != nil {
			return Home{}, fmt.Errorf("find $RBEE_HOME: %w", err)
		}
		return Home{
			Config: filepath.Join(abs, "config"),
			State:  filepath.Join(abs, "state"),
			Cache:  filepath.Join(abs, "cache"),
		}, nil
	}
	user := getenv("HOME")
	folder := func(variable, fallback string) (string, error) {
		if dir := getenv(variable); filepath.IsAbs(dir) { // the specification ignores relative ones
			return filepath.Join(dir, "rbee"), nil
		}
		if user == "" {
			return "", ops.Errorf(ops.CodeInvalid, "neither $%s nor $HOME is set", variable).WithHint("set RBEE_HOME to a folder of yours")
		}
		if !filepath.IsAbs(user) { // it would be another folder in each folder that rbee is called in
			return "", ops.Errorf(ops.CodeInvalid, "$HOME is no absolute path: %.60s", user).WithHint("set HOME to your own, or RBEE_HOME to a folder of yours")
		}
		return filepath.Join(user, fallback, "rbee"), nil
	}
	var h Home
	var err error
	if h.Config, err = folder("XDG_CONFIG_HOME", ".config"); err != nil {
		return Home{}, err
	}
	if h.State, err = folder("XDG_STATE_HOME", ".local/state"); err != nil {
		return Home{}, err
	}
	if h.Cache, err = folder("XDG_CACHE_HOME", ".cache"); err != nil {
		return Home{}, err
	}
	return h, nil
}

// Elsewhere is what to do where rbee's files cannot be written.
const Elsewhere = "it must be where you may write, and have room; RBEE_HOME names another place"

// Create makes the folders, for their owner alone. Folders that exist keep
// their contents but lose other accounts' access.
func (h Home) Create() error {
	for _, dir := range []string{h.State, h.Cache, h.Logs(), h.Workers(), h.Models(), h.Binaries()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return ops.Errorf(ops.CodeUnavailable, "make rbee's folder: %w", err).WithHint(Elsewhere)
		}
	}
	if err := os.Chmod(h.State, 0o700); err != nil { //nolint:gosec // a folder needs its x bit
		return ops.Errorf(ops.CodeUnavailable, "close rbee's state folder to others: %w", err).WithHint(Elsewhere)
	}
	return nil
}

// Database is the queen's SQLite file.
func (h Home) Database() string { return filepath.Join(h.State, "queen.db") }

// Token is the file with the bearer token of the queen's API.
func (h Home) Token() string { return filepath.Join(h.State, "queen.token") }

// Certificate is the queen's self-signed TLS certificate with its key.
func (h Home) Certificate() string { return filepath.Join(h.State, "queen.tls.pem") }

// KnownQueens is the file with the fingerprints of queens elsewhere.
func (h Home) KnownQueens() string { return filepath.Join(h.Config, "known_queens") }

// Key is the queen's own SSH key.
func (h Home) Key() string { return filepath.Join(h.State, "queen.key") }

// StartLock is locked by the one keeper that is starting a queen.
func (h Home) StartLock() string { return filepath.Join(h.State, "queen.starting") }

// PIDFile is the pid file of a daemon: queen or hive.
func (h Home) PIDFile(mode string) string { return filepath.Join(h.State, mode+".pid") }

// Jobs is the folder of the logs of a daemon's jobs.
func (h Home) Jobs(mode string) string { return filepath.Join(h.State, "jobs", mode) }

// Logs is the folder of the daemons' logs.
func (h Home) Logs() string { return filepath.Join(h.State, "logs") }

// Log is the log of a daemon: queen or hive.
func (h Home) Log(mode string) string { return filepath.Join(h.Logs(), mode+".log") }

// HiveSocket is where the hive listens.
func (h Home) HiveSocket() string { return filepath.Join(h.State, "hive.sock") }

// HiveToken is the bearer token of the hive's TCP listener, where it has one.
func (h Home) HiveToken() string { return filepath.Join(h.State, "hive.token") }

// HiveEnvironment is the file of what the hive was given as its environment, with
// secrets.
func (h Home) HiveEnvironment() string { return filepath.Join(h.State, "hive.environment") }

// Workers is the folder of the hive's workers, one folder each.
func (h Home) Workers() string { return filepath.Join(h.State, "workers") }

// Worker is the folder of one worker. The id must be a valid name.
func (h Home) Worker(id string) string { return filepath.Join(h.Workers(), id) }

// Models is the folder of the hive's models, one folder each.
func (h Home) Models() string { return filepath.Join(h.Cache, "models") }

// Engines is the folder of llama.cpp's releases, one folder each.
func (h Home) Engines() string { return filepath.Join(h.Cache, "engines") }

// Binaries is the folder of the copies of the binary that daemons run from.
func (h Home) Binaries() string { return filepath.Join(h.Cache, "bin") }

// The files in a worker's folder.
const (
	WorkerSocket = "worker.sock"
	WorkerLog    = "worker.log"
	WorkerPID    = "worker.pid"
	WorkerJobs   = "jobs" // a folder
)
