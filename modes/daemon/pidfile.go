package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"rbee.dev/rbee/ops"
)

// Record is what a pid file says of the daemon that holds it.
type Record struct {
	Process
	Binary    string    `json:"binary"` // what it runs from
	Version   string    `json:"version"`
	Build     string    `json:"build"`
	Address   string    `json:"address"` // host:port or socket path
	StartedAt time.Time `json:"started_at"`
	Service   bool      `json:"service,omitempty"` // of its machine, so no queen's to end
	// Fingerprint is that of the certificate which Address shows; "" is no TLS.
	Fingerprint string `json:"fingerprint,omitempty"`
	// TokenSum is the TokenSum of the token that opens it; "" is not told.
	TokenSum string `json:"token_sum,omitempty"`
	// Args are the flags that it was started with, beside where it listens.
	Args []string `json:"args,omitempty"`
	// Env is what it has from who started it of the variables for downloads, as
	// NAME=VALUE; of one that is a secret the name alone.
	Env []string `json:"env,omitempty"`
}

// URL is where a daemon that listens on TCP is reached from its own machine.
func (r Record) URL() string {
	if r.Fingerprint != "" {
		return "https://" + r.Dial()
	}
	return "http://" + r.Dial()
}

// Dial is Address as it is dialled from its own machine: one that listens
// everywhere is reached over loopback.
func (r Record) Dial() string {
	host, port, err := net.SplitHostPort(r.Address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return r.Address
	}
	return net.JoinHostPort("localhost", port)
}

// ErrRunning is returned by [Lock] when another process holds the pid file.
var ErrRunning = errors.New("already running")

// PIDFile is a pid file that this process holds.
type PIDFile struct {
	path   string
	lock   *flock.Flock
	before []byte // what it said of one that has died
}

// lookedAtFor is how long a lock may be taken by those who only look whether it is,
// at most: each does for some microseconds.
const lookedAtFor = 100 * time.Millisecond

// Lock takes the pid file at path for r. The lock, beside the file, ends with
// the process, however that dies, so a stale pid file is no obstacle. When
// another process holds it the error is ErrRunning and the Record is its.
func Lock(path string, r Record) (*PIDFile, Record, error) {
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeout(context.Background(), lookedAtFor)
	defer cancel()
	ok, err := lock.TryLockContext(ctx, lookedAtFor/20)
	if err != nil && ctx.Err() == nil {
		return nil, Record{}, fmt.Errorf("lock pid file: %w", err)
	}
	if !ok {
		holder, err := Read(path)
		if err != nil {
			return nil, Record{}, fmt.Errorf("%w (its pid file %s cannot be read: %w)", ErrRunning, path, err)
		}
		return nil, holder, ErrRunning
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		err := ops.Errorf(ops.CodeUnavailable, "a folder is where the pid file belongs: %s", path).WithHint("remove the folder")
		return nil, Record{}, errors.Join(err, lock.Close())
	}
	before, _ := os.ReadFile(path) // none, mostly
	p := &PIDFile{path: path, lock: lock, before: before}
	if err := p.Write(r); err != nil {
		return nil, Record{}, errors.Join(err, lock.Close())
	}
	return p, r, nil
}

// Write replaces what the file says.
func (p *PIDFile) Write(r Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	if err := replace(p.path, append(text, '\n')); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	return nil
}

// replace puts a file in the place of another in one step. It is not synced to the
// disk first, which takes its time: after the machine went down it names no
// process any more, whatever it says.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path))
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the error is why
	}
	return err
}

// Release removes the file, unless it is another's by now, and gives the lock up.
func (p *PIDFile) Release() error {
	if !p.stands() {
		return p.lock.Close()
	}
	return errors.Join(os.Remove(p.path), p.lock.Close())
}

// GiveUp is the Release of a daemon that did not come up: of one that has died before
// it, the file says again how that was started.
func (p *PIDFile) GiveUp() error {
	if len(p.before) == 0 || !p.stands() {
		return p.Release()
	}
	return errors.Join(replace(p.path, p.before), p.lock.Close())
}

// Read reads the pid file at path without asking whether its process lives.
func Read(path string) (Record, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Record{}, err
	}
	var r Record
	if err := json.Unmarshal(text, &r); err != nil {
		return Record{}, fmt.Errorf("read pid file %s: %w", path, err)
	}
	return r, nil
}

// Running returns the record of the daemon that holds the pid file at path, and
// whether it lives. A missing, broken or stale file is a daemon not running, and so
// is one that nobody holds although its process lives: it was copied from elsewhere.
func Running(path string) (Record, bool, error) {
	r, err := Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, false, nil
	}
	if err != nil || !r.Alive() {
		return r, false, err
	}
	held, err := held(path)
	return r, held, err
}

// held reports whether somebody holds the pid file at path.
func held(path string) (bool, error) {
	lock := flock.New(path+".lock", flock.SetFlag(os.O_RDONLY))
	free, err := lock.TryRLock()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err = errors.Join(err, lock.Close()); err != nil {
		return false, fmt.Errorf("look whether the pid file is held: %w", err)
	}
	return !free, nil
}
