package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"

	"rbee.dev/rbee/ops"
)

// digest computes a file's SHA-256 by reading behind those who write it, so
// that several may write at different places.
type digest struct {
	in   *os.File
	what File
	have *spans
	at   int64
	hash hash.Hash
}

func newDigest(in *os.File, what File, have *spans) *digest {
	return &digest{in: in, what: what, have: have, hash: sha256.New()}
}

// reset begins anew.
func (d *digest) reset() {
	d.at = 0
	d.hash.Reset()
}

// follow reads what is there, until done is closed and all has been read.
func (d *digest) follow(ctx context.Context, done <-chan struct{}) error {
	buf := make([]byte, 1<<20)
	for {
		if err := d.catchUp(ctx, buf); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil // whoever ended it says why
		case <-d.have.grew:
		case <-done:
			return d.catchUp(ctx, buf)
		}
	}
}

func (d *digest) catchUp(ctx context.Context, buf []byte) error {
	for front := d.have.front(); d.at < front; front = d.have.front() {
		if ctx.Err() != nil {
			return nil
		}
		if d.at == 0 && front < int64(len(d.what.Begins)) {
			return nil
		}
		n, err := d.in.ReadAt(buf[:min(int64(len(buf)), front-d.at)], d.at)
		if n == 0 {
			return fmt.Errorf("read what was downloaded: %w", err)
		}
		if d.at == 0 && string(buf[:len(d.what.Begins)]) != d.what.Begins {
			return d.wrong()
		}
		d.hash.Write(buf[:n])
		d.at += int64(n)
	}
	return nil
}

// sum is the SHA-256 of what was read.
func (d *digest) sum() string { return hex.EncodeToString(d.hash.Sum(nil)) }

// wrong says that the file is not of the kind that was wanted.
func (d *digest) wrong() error {
	return ops.Invalid("model", "%s is no %s: it does not begin as one", Shown(d.what.URL), d.what.kind())
}

// Copy writes what in holds to the new file at path and returns its SHA-256.
// It tells seen how far it has come, and honours ctx.
func Copy(ctx context.Context, in io.Reader, path string, seen func(done int64)) (size int64, sum string, err error) {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, "", fmt.Errorf("write the file: %w", err)
	}
	defer func() {
		if closed := out.Close(); err == nil {
			err = closed
		}
	}()
	h := sha256.New()
	buf := make([]byte, 256<<10)
	for ctx.Err() == nil {
		n, err := in.Read(buf)
		if _, failed := out.Write(buf[:n]); failed != nil {
			return size, "", writeError(failed, path)
		}
		h.Write(buf[:n])
		size += int64(n)
		seen(size)
		if err == io.EOF {
			return size, hex.EncodeToString(h.Sum(nil)), out.Sync()
		}
		if err != nil {
			return size, "", fmt.Errorf("read the file: %w", err)
		}
	}
	return size, "", context.Cause(ctx)
}
