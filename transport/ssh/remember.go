package ssh

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
	"github.com/skeema/knownhosts"
	xssh "golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"rbee.dev/rbee/ops"
)

// remember notes an accepted key in the first file of known hosts.
func (k *hostKeys) remember(remote net.Addr, key xssh.PublicKey) error {
	if len(k.hop.knownHosts) == 0 {
		return nil // UserKnownHostsFile none: the person wants nothing noted
	}
	path := k.hop.knownHosts[0]
	if err := k.appendUnlessKnown(path, remote, key); err != nil {
		if e, ok := errors.AsType[*ops.Error](err); ok {
			return e
		}
		if knownhosts.IsHostKeyChanged(err) { // by another process, just now
			return err
		}
		return ops.Errorf(ops.CodeDenied, "note the host key of %s in %s: %w", k.hop.Address(), path, err).
			WithHint("make the file writable for you, or add the key yourself: ssh %s", k.hop.Name)
	}
	return nil
}

// appendUnlessKnown adds a line to the file at path, unless another process
// has by the time the lock is ours. It appends, in one write, rather than
// rename a new file into place: ssh(1) appends without a lock, and a rename
// would lose what it wrote in between.
func (k *hostKeys) appendUnlessKnown(path string, remote net.Addr, key xssh.PublicKey) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lock := flock.New(path)
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	db, err := k.load()
	if err != nil {
		return err
	}
	if err := db.HostKeyCallback()(k.hop.keyName(), remote, key); !knownhosts.IsHostUnknown(err) {
		return err
	}
	if _, err := f.WriteString(newline(f) + k.line(key)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return f.Sync()
}

// newline is what a line added to f must begin with.
func newline(f *os.File) string {
	last := make([]byte, 1)
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || end == 0 {
		return ""
	}
	if _, err := f.ReadAt(last, end-1); err != nil || last[0] == '\n' {
		return ""
	}
	return "\n"
}

// line is the entry for key: with the host's name hashed where the
// configuration says so (HashKnownHosts), as ssh writes it.
func (k *hostKeys) line(key xssh.PublicKey) string {
	name := knownhosts.Normalize(k.hop.keyName())
	if k.hop.hashKnownHosts {
		name = xknownhosts.HashHostname(name)
	}
	return name + " " + string(xssh.MarshalAuthorizedKey(key)) // which ends in a newline
}
