package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"

	"rbee.dev/rbee/ops"
)

// digest computes a file's SHA-256 while several write at different places. It
// takes what continues its sum from those who just wrote it, and reads from the
// file what they wrote ahead of it or what came while it had too much to do.
type digest struct {
	in     *os.File
	what   File
	have   *spans
	at     int64
	hash   hash.Hash
	fresh  chan chunk
	blocks sync.Pool
}

// block holds what is read, written and summed at a time.
type block [1 << 20]byte

// chunk is the first n bytes of a block, which are written at the file's at.
type chunk struct {
	*block
	at int64
	n  int
}

func newDigest(in *os.File, what File, have *spans) *digest {
	d := &digest{in: in, what: what, have: have, hash: sha256.New()}
	d.blocks.New = func() any { return new(block) }
	d.reset()
	return d
}

// reset begins anew.
func (d *digest) reset() {
	d.at = 0
	d.hash.Reset()
	d.fresh = make(chan chunk, 4)
}

// block is one to read into; it goes on by offer or back to blocks.
func (d *digest) block() *block { return d.blocks.Get().(*block) } //nolint:forcetypeassert // nothing else is in it

// offer gives a chunk that is written away, and returns a block to go on with.
// It never waits: whoever downloads is not held up by a sum of what came before.
func (d *digest) offer(c chunk) *block {
	if d.have.front() < c.at+int64(c.n) {
		return c.block
	}
	select {
	case d.fresh <- c:
		return d.block()
	default:
		return c.block
	}
}

// follow sums what is there and what comes, until done is closed.
func (d *digest) follow(ctx context.Context, done <-chan struct{}) error {
	if err := d.catchUp(ctx, d.have.front()); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil // whoever ended it says why
		case c := <-d.fresh:
			if err := d.take(ctx, c); err != nil {
				return err
			}
		case <-done:
			return d.catchUp(ctx, d.have.front())
		}
	}
}

// take sums a chunk, unless it was read from the file already.
func (d *digest) take(ctx context.Context, c chunk) error {
	defer d.blocks.Put(c.block)
	if err := d.catchUp(ctx, c.at); err != nil || c.at != d.at {
		return err
	}
	return d.add(c.block[:c.n])
}

// catchUp reads from the file up to to, which is there.
func (d *digest) catchUp(ctx context.Context, to int64) error {
	buf := d.block()
	defer d.blocks.Put(buf)
	for d.at < to && ctx.Err() == nil {
		n, err := d.in.ReadAt(buf[:min(int64(len(buf)), to-d.at)], d.at)
		if n == 0 {
			return fmt.Errorf("read what was downloaded: %w", err)
		}
		if err := d.add(buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

// add sums what comes next, which must be the beginning of a file as wanted.
func (d *digest) add(b []byte) error {
	begins := d.what.Begins[min(d.at, int64(len(d.what.Begins))):]
	if n := min(len(b), len(begins)); string(b[:n]) != begins[:n] {
		return d.wrong()
	}
	d.hash.Write(b)
	d.at += int64(len(b))
	return nil
}

// sum is the SHA-256 of what was read.
func (d *digest) sum() string { return hex.EncodeToString(d.hash.Sum(nil)) }

// wrong says that the file is not of the kind that was wanted.
func (d *digest) wrong() error {
	why := "it does not begin as one"
	if d.have.sum() == 0 {
		why = "it is empty"
	}
	return spoilt{ops.Errorf(ops.CodeUnavailable, "%s is no %s: %s", Shown(d.what.URL), d.what.kind(), why).
		WithHint("%s", d.what.doubted("that is what the server gives there: is the address right?"))}
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
			return size, "", writeError(failed)
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
