package ssh

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/pkg/sftp"

	"rbee.dev/rbee/ops"
)

const (
	// sftpStart is how long a server's SFTP may take to begin: output of a
	// login shell in between can leave both sides waiting.
	sftpStart = 10 * time.Second
	// sftpRequests is how many writes are under way at once; each is 32 KiB.
	sftpRequests = 64
)

func (u *upload) mode() string { return fmt.Sprintf("%o", u.file.Mode.Perm()) }

// sftp copies over SFTP. It reports false where the server has none.
func (u *upload) sftp(ctx context.Context) (ok bool, err error) {
	starting, cancel := context.WithTimeout(ctx, sftpStart)
	defer cancel()
	client, err := bounded(starting, u.conn, "open SFTP on", func() (*sftp.Client, error) {
		return u.conn.Goph().NewSftp(sftp.UseConcurrentWrites(true), sftp.MaxConcurrentRequestsPerFile(sftpRequests))
	}, func(s *sftp.Client) { _ = s.Close() })
	if err != nil {
		if ctx.Err() != nil || u.conn.Err() != nil {
			return false, err
		}
		return false, nil
	}
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer stop()
	err = u.write(client)
	if ctx.Err() != nil {
		return true, errContext(ctx, "upload to", u.conn.name)
	}
	_ = client.Close()
	return true, err
}

func (u *upload) write(client *sftp.Client) error {
	f, err := client.OpenFile(u.temp, os.O_WRONLY|os.O_TRUNC)
	if err != nil {
		return fmt.Errorf("open it over SFTP: %w", err)
	}
	_, err = f.ReadFromWithConcurrency(u, sftpRequests)
	if err == nil {
		// The file is as good as there, but a crash before it is on the disk
		// would leave the new name with no content.
		if err = f.Sync(); isUnsupported(err) {
			err = nil
		}
	}
	return errors.Join(err, f.Close())
}

// isUnsupported reports whether a server does not know a request: fsync is an
// extension of OpenSSH's.
func isUnsupported(err error) bool {
	if status, ok := errors.AsType[*sftp.StatusError](err); ok {
		return status.FxCode() == sftp.ErrSSHFxOpUnsupported
	}
	return errors.Is(err, sftp.ErrSSHFxOpUnsupported)
}

// shell copies through a command's standard input.
func (u *upload) shell(ctx context.Context) error {
	out, err := u.conn.Run(ctx, Command{Script: receiveScript, Args: []string{u.temp}, Stdin: u})
	if own, ok := errors.AsType[*ops.Error](errors.Unwrap(err)); ok {
		return own // of the file here, not of the command there
	}
	if err != nil {
		return err
	}
	if out.Exit != 0 {
		return u.errScript(out)
	}
	return nil
}

// readBack compares the temporary file with what was sent on a machine that
// has no tool for it.
func (u *upload) readBack(ctx context.Context) error {
	p, err := u.conn.Start(ctx, Command{Script: `cat < "$1"`, Args: []string{u.temp}})
	if err != nil {
		return err
	}
	defer p.Close()
	stop := context.AfterFunc(ctx, p.Close)
	defer stop()
	sum := sha256.New()
	if _, err := io.Copy(sum, p.Stdout); err != nil {
		return u.conn.lost(err, "read the file back from")
	}
	if ctx.Err() != nil {
		return errContext(ctx, "upload to", u.conn.name)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != u.sum() {
		return ops.Errorf(ops.CodeInternal, "what arrived on %s is not what was sent: its SHA-256 is %s", u.conn.name, got).
			WithHint("try again; if it happens twice, suspect the machine's disk or memory")
	}
	return nil
}
