package ssh

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"rbee.dev/rbee/ops"
)

// uploadPrefix begins the temporary name of a file on its way.
const uploadPrefix = ".rbee-upload-"

// cleanupTime bounds what is done for a failed upload.
const cleanupTime = 10 * time.Second

// File is a file to put on the other machine.
type File struct {
	// Reader has the content, from its beginning.
	Reader io.Reader
	// Size is how many bytes that is. A Reader with more or fewer is an error.
	Size int64
	// SHA256 is the content's hash in hexadecimal, or "" where only the copy is
	// to be compared with what was read.
	SHA256 string
	// Mode is the file's, as 0o755.
	Mode fs.FileMode
	// Path is where it goes: absolute, or relative to the account's home. The
	// folder must exist. What is there is replaced at once and whole.
	Path string
	// Owner names who uploads, as one word of letters, digits, '-' and '_'.
	// What an earlier upload of the same owner to the same folder left there is
	// removed, so an owner uploads one file at a time to a folder; of others,
	// only what is older than an hour. Empty is this account of this machine.
	Owner string
	// Progress is told how much was sent; nil is nobody. It is called often,
	// from one goroutine at a time.
	Progress func(done, total int64)
}

// Upload puts a file in place: under a temporary name in the same folder, then
// compared by hash over there, then renamed. A failure leaves what was there,
// and no temporary file unless the link is gone; the next upload removes that.
//
// It goes over SFTP, or through the shell where the server has none. The
// errors have the codes invalid (the file is not what it should be), denied (a
// folder that cannot be written), not_found (no such folder), unavailable (the
// disk is full, the connection was cut), timeout and cancelled.
func (c *Conn) Upload(ctx context.Context, f File) error {
	u, err := c.newUpload(f)
	if err != nil {
		return err
	}
	if err := u.prepare(ctx); err != nil {
		return err
	}
	err = u.send(ctx)
	if err == nil {
		err = u.finish(ctx)
	}
	if err != nil {
		return u.undo(ctx, err)
	}
	return nil
}

// upload is one file on its way.
type upload struct {
	conn   *Conn
	file   File
	folder string
	temp   string
	hash   hash.Hash // of what was read
	read   atomic.Int64
}

func (c *Conn) newUpload(f File) (*upload, error) {
	if f.Path == "" || strings.HasSuffix(f.Path, "/") || strings.ContainsRune(f.Path, 0) {
		return nil, ops.Invalid("path", "%q names no file", clip(f.Path)).WithHint("give the path of the file on the other machine")
	}
	if !strings.HasPrefix(f.Path, "/") {
		f.Path = "./" + f.Path // never a flag
	}
	if f.Owner == "" {
		name, _ := os.Hostname()
		sum := sha256.Sum256([]byte(name + "\x00" + strconv.Itoa(os.Getuid())))
		f.Owner = hex.EncodeToString(sum[:6])
	}
	if !word(f.Owner, "-_") {
		return nil, ops.Invalid("owner", "must be letters, digits, '-' or '_', got %q", clip(f.Owner)).WithHint("leave it empty")
	}
	folder := path.Dir(f.Path)
	return &upload{
		conn: c, file: f, folder: folder, hash: sha256.New(),
		temp: folder + "/" + uploadPrefix + f.Owner + "-" + rand.Text(),
	}, nil
}

// Read reads the content, and counts and hashes it.
func (u *upload) Read(p []byte) (int, error) {
	n, err := u.file.Reader.Read(p)
	_, _ = u.hash.Write(p[:n]) // never fails
	read := u.read.Add(int64(n))
	if read > u.file.Size {
		return n, ops.Errorf(ops.CodeInvalid, "the file has grown while it was read: it had %d bytes", u.file.Size).WithHint("try again")
	}
	if u.file.Progress != nil && n > 0 {
		u.file.Progress(read, u.file.Size)
	}
	if err != nil && err != io.EOF { //nolint:errorlint // readers return io.EOF itself
		err = ops.Errorf(ops.CodeInvalid, "read the file to upload: %w", err).WithHint("see whether the file can be read here")
	}
	return n, err
}

// send copies the content to the temporary file.
func (u *upload) send(ctx context.Context) error {
	ok, err := u.sftp(ctx)
	if !ok && err == nil {
		err = u.shell(ctx)
	}
	if err != nil {
		return err
	}
	if read := u.read.Load(); read != u.file.Size {
		return ops.Errorf(ops.CodeInvalid, "the file has shrunk while it was read: %d of %d bytes", read, u.file.Size).WithHint("try again")
	}
	if want := u.file.SHA256; want != "" && !strings.EqualFold(want, u.sum()) {
		return ops.Errorf(ops.CodeInvalid, "the file is not the one it should be: its SHA-256 is %s, not %s", u.sum(), clip(want)).
			WithHint("fetch or build it again")
	}
	return nil
}

func (u *upload) sum() string { return hex.EncodeToString(u.hash.Sum(nil)) }

// undo removes the temporary file and finds out what it can about the reason.
// The context may have ended: this is bounded by itself.
func (u *upload) undo(ctx context.Context, err error) error {
	later, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	out, gone := u.conn.Run(later, Command{Script: undoScript, Args: []string{u.temp, u.folder}})
	if gone != nil { // what a dying connection says first is not always that it dies
		select {
		case <-u.conn.Done():
		case <-time.After(killGrace):
		}
	}
	e, ok := errors.AsType[*ops.Error](err)
	if ok && e.Code != ops.CodeUnavailable {
		return err // known well enough
	}
	if dead := u.conn.Err(); dead != nil {
		return ops.Errorf(ops.CodeUnavailable, "upload %s: the connection was cut after %d of %d bytes: %w", u.file.Path, u.read.Load(), u.file.Size, dead).
			WithHint("try again once the machine is reachable; the part that arrived is removed then")
	}
	if free, known := field(out.Stdout, "free"); gone == nil && known && free < max(u.file.Size-u.read.Load(), 1<<20) {
		return u.errFull(free)
	}
	if ok {
		return err
	}
	return ops.Errorf(ops.CodeUnavailable, "upload %s to %s: %w", u.file.Path, u.conn.name, err).WithHint("see the machine's disk and its log, then try again")
}

func (u *upload) errFull(free int64) error {
	return ops.Errorf(ops.CodeUnavailable, "the disk of %s is full: %s takes %d MB, and %d MB are free", u.conn.name, u.file.Path, u.file.Size>>20+1, free>>20).
		WithHint("make room in %s there", u.folder)
}

// field finds "name=number" in a script's output.
func field(out []byte, name string) (int64, bool) {
	for line := range strings.Lines(string(out)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			n, err := strconv.ParseInt(value, 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// failure is a script's exit status with what it said.
func failure(out Output) error {
	said := strings.TrimSpace(string(out.Stderr))
	if said == "" {
		said = "nothing"
	}
	return fmt.Errorf("exit status %d; it said: %s", out.Exit, clip(said))
}
