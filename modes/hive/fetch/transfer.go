package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/dustin/go-humanize"

	"rbee.dev/rbee/ops"
)

// keepEvery is after how many bytes it is kept how far a download has come.
const keepEvery = 2 << 20

// errChanged says that the server has another file now.
var errChanged = errors.New("the file has changed on the server")

// transfer is one download under way.
type transfer struct {
	*Fetcher
	what   File
	path   string
	seen   func(done, total int64)
	out    *os.File
	have   *spans
	digest *digest
	ranges bool // the server gives parts of the file

	mu    sync.Mutex
	at    string // where the URL led to, "" before that is known
	state state
	kept  int64 // bytes that were there when the state was kept last
}

// Fetch brings a file to path and goes on with what is there already, if the
// server still has the same. It tells seen how far it has come; total is -1
// when nobody knows. After an error, what came stays for the next time where
// that helps; after one that cannot be mended nothing stays.
func (f *Fetcher) Fetch(ctx context.Context, what File, path string, seen func(done, total int64)) (_ Result, err error) {
	t := &transfer{Fetcher: f, what: what, path: path, seen: seen, state: state{URL: what.URL, Size: what.Size, Boot: boot()}}
	flags := os.O_CREATE | os.O_RDWR | os.O_TRUNC
	if s, ok := readState(path, what); ok {
		flags = os.O_RDWR
		if s.SHA256 != "" {
			return Result{s.Size, s.SHA256}, nil
		}
		t.state = s
		t.state.Boot, t.ranges = boot(), true
	}
	if t.out, err = os.OpenFile(path, flags, 0o600); err != nil {
		return Result{}, fmt.Errorf("write the model: %w", err)
	}
	t.have = newSpans(t.state.Have)
	t.digest = newDigest(t.out, what, t.have)
	err = t.run(ctx)
	if err == nil {
		err = t.finish()
	}
	if closed := t.out.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return Result{}, t.leave(err)
	}
	return Result{t.state.Size, t.state.SHA256}, nil
}

// leave keeps or discards what came before err.
func (t *transfer) leave(err error) error {
	code := ops.CodeOf(err)
	useful := t.ranges && t.state.Validator != "" && t.have.sum() > 0 && !full(err) &&
		(code == ops.CodeUnavailable || code == ops.CodeCancelled || errors.Is(err, ops.ErrDetached))
	cleanup := t.keep
	if !useful {
		cleanup = func() error { return Discard(t.path) }
	}
	if failed := cleanup(); failed != nil {
		return errors.Join(err, failed)
	}
	return err
}

// run downloads, however many tries it takes as long as they bring something.
func (t *transfer) run(ctx context.Context) error {
	if n := t.have.sum(); n > 0 {
		ops.Narrate(ctx, "model_resume", "%s of it are here already: going on from there", humanize.IBytes(uint64(n))) //nolint:gosec // a length
	}
	pauses, best, failed, changed := t.o.Backoff(), t.have.sum(), 0, 0
	for {
		err := t.round(ctx)
		if err == nil {
			return nil
		}
		t.at = ""
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if n := t.have.sum(); n > best { // more than ever: a server without ranges always begins anew
			best, failed = n, 0
			pauses.Reset()
		}
		failed++
		if errors.Is(err, errChanged) {
			if changed++; changed > 3 {
				return ops.Errorf(ops.CodeUnavailable, "%w again and again: %s", errChanged, Shown(t.what.URL))
			}
			ops.Warn(ctx, "model_changed", "%s: starting anew", errChanged)
		}
		a, ok := errors.AsType[*again](err)
		if !ok {
			return err
		}
		if failed >= t.o.Tries {
			return a.err
		}
		if errors.Is(err, errChanged) || !t.ranges {
			if err := t.reset(); err != nil {
				return err
			}
		}
		if err := t.pause(ctx, a, pauses); err != nil {
			return err
		}
	}
}

// pause waits before the next try.
func (t *transfer) pause(ctx context.Context, a *again, pauses backoff.BackOff) error {
	d := max(a.after, pauses.NextBackOff())
	if errors.Is(a, errChanged) {
		d = 0
	} else {
		ops.Warn(ctx, "model_retry", "%s: trying again in %s", a.err, d.Round(100*time.Millisecond))
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// reset forgets what came.
func (t *transfer) reset() error {
	t.have.clear()
	t.digest.reset()
	t.state = state{URL: t.what.URL, Size: t.what.Size, Boot: boot()}
	t.kept = 0
	if err := t.out.Truncate(0); err != nil {
		return writeError(err, t.path)
	}
	return nil
}

// round is one try: it downloads while the digest reads behind.
func (t *transfer) round(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	var reading sync.WaitGroup
	var unread error
	reading.Go(func() {
		if unread = t.digest.follow(ctx, done); unread != nil {
			cancel(unread)
		}
	})
	err := t.load(ctx)
	if err != nil {
		cancel(err)
	}
	close(done)
	reading.Wait()
	if unread != nil {
		return unread
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// load downloads what is missing: a first piece that tells what the server can
// do, then the rest.
func (t *transfer) load(ctx context.Context) error {
	first := span{0, t.o.Piece}
	if gaps := t.have.gaps(t.state.Size, t.o.Piece); len(gaps) > 0 {
		first = gaps[0]
	} else if t.have.sum() > 0 {
		return nil
	}
	if err := t.piece(ctx, first); err != nil || !t.ranges {
		return err
	}
	missing := t.state.Size - t.have.sum()
	if missing < t.o.ParallelFrom || t.o.Connections == 1 {
		for _, gap := range t.have.gaps(t.state.Size, 0) {
			if err := t.piece(ctx, gap); err != nil {
				return err
			}
		}
		return nil
	}
	return t.parallel(ctx, t.have.gaps(t.state.Size, t.o.Piece))
}

// parallel downloads gaps over several connections, the first ones first.
func (t *transfer) parallel(ctx context.Context, gaps []span) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan span, len(gaps))
	for _, gap := range gaps {
		queue <- gap
	}
	close(queue)
	var connections sync.WaitGroup
	var once sync.Once
	var first error // the others end because of it
	for range min(t.o.Connections, len(gaps)) {
		connections.Go(func() {
			for gap := range queue {
				if err := t.piece(ctx, gap); err != nil {
					once.Do(func() { first = err; cancel(err) })
					return
				}
			}
		})
	}
	connections.Wait()
	return first
}

// piece downloads one part of the file, or all of it where the server gives no
// parts.
func (t *transfer) piece(ctx context.Context, s span) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := fmt.Errorf("nothing came for %s", t.o.Stalled)
	stalled := time.AfterFunc(t.o.Stalled, func() { cancel(silent) })
	defer stalled.Stop()
	answer, err := t.ask(ctx, s)
	if err != nil {
		if errors.Is(err, silent) || t.have.sum() > 0 && ops.CodeOf(err) == ops.CodeUnavailable {
			err = &again{err: err}
		}
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	if s, err = t.learn(answer, s); err != nil {
		return err
	}
	return t.write(&patientReader{in: answer.Body, ctx: ctx, stalled: stalled, after: t.o.Stalled}, s)
}

// ask asks for a part of the file.
func (t *transfer) ask(ctx context.Context, s span) (*http.Response, error) {
	t.mu.Lock()
	from, check := t.at, t.state.Validator
	t.mu.Unlock()
	moved := from != ""
	if !moved {
		from = t.what.URL
	}
	header := http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", s.From, s.To-1)}}
	if check != "" {
		header.Set("If-Range", check)
	}
	answer, err := t.send(ctx, from, t.what, header)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		err = t.noRange(answer)
	} else if err = refusal(answer, t.what); err != nil && moved && ops.CodeOf(err) == ops.CodeDenied {
		err = &again{err: err} // a signed address that has expired
	}
	if err != nil {
		_ = answer.Body.Close() // nobody reads it
		return nil, err
	}
	t.mu.Lock()
	t.at = answer.Request.URL.String()
	t.mu.Unlock()
	return answer, nil
}

// noRange is the error of a 416: an empty file, or one that has become shorter.
func (t *transfer) noRange(answer *http.Response) error {
	if t.have.sum() > 0 {
		return &again{err: errChanged}
	}
	if answer.Header.Get("Content-Range") == "bytes */0" {
		return t.digest.wrong()
	}
	return ops.Errorf(ops.CodeUnavailable, "download %s: the server answers %s", Shown(t.what.URL), answer.Status)
}

// learn takes from an answer what it tells of the file, and says which part of
// it comes; To is -1 where nobody knows the end.
func (t *transfer) learn(answer *http.Response, asked span) (span, error) {
	part, size := span{0, answer.ContentLength}, answer.ContentLength
	ranges := answer.StatusCode == http.StatusPartialContent
	if ranges {
		var ok bool
		if part, size, ok = contentRange(answer.Header.Get("Content-Range")); !ok || part.From != asked.From || part.To != min(asked.To, size) {
			return span{}, ops.Errorf(ops.CodeUnavailable, "download %s: the server was asked for bytes %d to %d and gives %q",
				Shown(t.what.URL), asked.From, asked.To-1, answer.Header.Get("Content-Range"))
		}
	}
	known := validator(answer.Header)
	begun := t.have.sum() > 0
	if begun && (!ranges || known != t.state.Validator || size != t.state.Size) {
		return span{}, &again{err: errChanged}
	}
	if t.what.Size >= 0 && size >= 0 && size != t.what.Size {
		return span{}, ops.Errorf(ops.CodeUnavailable, "%s has %d bytes, but should have %d", Shown(t.what.URL), size, t.what.Size)
	}
	if !begun {
		t.mu.Lock()
		t.state.Size, t.state.Validator, t.ranges = size, known, ranges
		t.mu.Unlock()
	}
	return part, CheckRoom(filepath.Dir(t.path), size-t.have.sum())
}

// write writes a part of the file as it comes.
func (t *transfer) write(in io.Reader, s span) error {
	buf := make([]byte, 256<<10)
	at := s.From
	for s.To < 0 || at < s.To {
		room := int64(len(buf))
		if s.To >= 0 {
			room = min(room, s.To-at)
		}
		n, err := in.Read(buf[:room])
		if _, failed := t.out.WriteAt(buf[:n], at); failed != nil {
			return writeError(failed, t.path)
		}
		t.have.add(at, at+int64(n))
		at += int64(n)
		if failed := t.tell(); failed != nil {
			return failed
		}
		switch {
		case errors.Is(err, io.EOF) && s.To < 0:
			t.state.Size = at
			return nil
		case err != nil && at != s.To:
			return t.broken(err)
		}
	}
	return nil
}

// broken is the error of a connection that ended too early.
func (t *transfer) broken(err error) error {
	sum := t.have.sum()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &again{err: ops.Errorf(ops.CodeUnavailable, "the model broke off at %d of %d bytes", sum, t.state.Size)}
	}
	return &again{err: ops.Errorf(ops.CodeUnavailable, "the model broke off at %d bytes: %w", sum, err)}
}

// tell says how far the download is, and keeps it now and then.
func (t *transfer) tell() error {
	done := t.have.sum()
	t.seen(done, t.state.Size)
	t.mu.Lock()
	due := t.ranges && t.state.Validator != "" && done-t.kept >= keepEvery
	if due {
		t.kept = done
	}
	t.mu.Unlock()
	if !due {
		return nil
	}
	return t.keep()
}

// keep writes down how far the download is.
func (t *transfer) keep() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.Have = t.have.all()
	return t.state.write(t.path)
}

// finish makes the file last and checks its sum.
func (t *transfer) finish() error {
	sum := t.digest.sum()
	switch {
	case t.digest.at < int64(len(t.what.Begins)):
		return t.digest.wrong()
	case t.digest.at != t.state.Size:
		return ops.Errorf(ops.CodeInternal, "the sum was made of %d of %d bytes", t.digest.at, t.state.Size)
	case t.what.SHA256 != "" && sum != t.what.SHA256:
		return ops.Errorf(ops.CodeInvalid, "what came from %s is not what it should be: its SHA-256 is %s, and should be %s", Shown(t.what.URL), sum, t.what.SHA256).
			WithHint("download it again; if it happens again, the server or a proxy on the way changes the file")
	}
	if err := t.out.Sync(); err != nil {
		return writeError(err, t.path)
	}
	t.state.SHA256 = sum
	if t.state.Validator == "" {
		return nil
	}
	return t.keep()
}
