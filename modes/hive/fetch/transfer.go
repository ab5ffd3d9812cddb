package fetch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
)

// keepEvery is after how many bytes it is kept how far a download has come.
const keepEvery = 3 << 20

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
	hush   *time.Timer

	keeping sync.Mutex // is held by who writes the state down
	writing sync.Mutex // is held by who writes to out: it takes one at a time, and the system's lock spins

	mu    sync.Mutex
	at    string // where the URL led to, "" before that is known
	state state
	kept  int64 // bytes that were there when the state was kept last

	unsure bool // the file has changed meanwhile, and no second answer has had the new mark
	whole  bool // it is asked for in one go, since its mark is another with each answer

	shortAt    int64 // bytes after which answers have ended too early
	shortTimes int   // in a row
}

// Fetch brings a file to path and goes on with what is there already, if the
// server still has the same. It tells seen how far it has come; total is -1
// when nobody knows. After an error, what came stays for the next time where
// that helps; after one that cannot be mended nothing stays.
func (f *Fetcher) Fetch(ctx context.Context, what File, path string, seen func(done, total int64)) (_ Result, err error) {
	t := &transfer{Fetcher: f, what: what, path: path, seen: seen, state: begin(what)}
	flags := os.O_CREATE | os.O_RDWR | os.O_TRUNC
	if s, ok := readState(path, what); ok {
		flags = os.O_RDWR
		if s.SHA256 != "" {
			return Result{s.Size, s.SHA256, s.Validator}, nil
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
	if err != nil {
		err = t.leave(err)
	}
	if closed := t.out.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return Result{}, err
	}
	return Result{t.state.Size, t.state.SHA256, t.state.Validator}, nil
}

// leave keeps or discards what came before err. On a disk that is full some of it
// goes, so that there is room for noting how far it came, and for others.
func (t *transfer) leave(err error) error {
	if n := wanting(err); n > 0 {
		if failed := t.out.Truncate(t.have.cut(n)); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	if t.useful(err) {
		failed := t.keep()
		if failed == nil {
			return err
		}
		err = errors.Join(err, failed)
	}
	if failed := Discard(t.path); failed != nil {
		return errors.Join(err, failed)
	}
	return err
}

// useful says whether what came before err can be gone on with.
func (t *transfer) useful(err error) bool {
	if _, wrong := errors.AsType[spoilt](err); wrong || errors.Is(err, errChanged) || t.unsure || !t.ranges || t.state.Validator == "" || t.have.sum() == 0 {
		return false
	}
	code := ops.CodeOf(err)
	return noRoom(err) || code == ops.CodeUnavailable || code == ops.CodeCancelled || errors.Is(err, ops.ErrDetached)
}

// run downloads, however many tries it takes as long as they bring something.
func (t *transfer) run(ctx context.Context) error {
	t.hush = t.Fetcher.hush(ctx, t.what.URL)
	defer t.hush.Stop()
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
		if errors.Is(err, errSilent) { // which takes long enough each time
			failed += t.o.Tries / 3
		}
		if errors.Is(err, errChanged) {
			t.unsure = true
			if changed++; changed > 1 {
				t.whole = true
			}
			ops.Warn(ctx, "model_changed", "%s", t.anew())
		}
		a, ok := errors.AsType[*again](err)
		if !ok {
			return err
		}
		if a.short && t.endsHere() {
			return ops.Errorf(ops.CodeUnavailable, "%s has %d bytes, as the server says, and ends after %d of them each time", Shown(t.what.URL), t.state.Size, t.shortAt).
				WithHint("%s", t.what.doubted(elsewhere))
		}
		if failed >= t.o.Tries {
			return hinted(a.err)
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

// anew says how a file begins again that seems to have changed.
func (t *transfer) anew() string {
	if t.whole {
		return "the server marks the file as another one with each answer: taking all of it from one"
	}
	return errChanged.Error() + ": starting anew"
}

// mostShort is after how many answers that end at the same byte too early no
// further one is asked for: connections break here and there.
const mostShort = 4

// endsHere notes that an answer has ended too early, and reports whether they always
// do so there.
func (t *transfer) endsHere() bool {
	if n := t.have.sum(); n != t.shortAt {
		t.shortAt, t.shortTimes = n, 0
	}
	t.shortTimes++
	return t.shortAt > 0 && t.shortTimes >= mostShort
}

// hinted is err with what to do about a server that has failed too often, where
// nobody has said anything better.
func hinted(err error) error {
	if e := ops.AsError(err); e.Code == ops.CodeUnavailable && e.Hint == "" {
		return e.WithHint("the server may be down or overloaded: try again later")
	}
	return err
}

// reset forgets what came.
func (t *transfer) reset() error {
	t.have.clear()
	t.digest.reset()
	t.state = begin(t.what)
	t.kept = 0
	if err := t.out.Truncate(0); err != nil {
		return writeError(err)
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
	t.hush.Stop()
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
// do, then the rest, over several connections once one is not fast by itself.
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
	gaps, err := t.alone(ctx, t.have.gaps(t.state.Size, t.o.Piece))
	if err != nil {
		return err
	}
	return t.parallel(ctx, gaps)
}

// alone downloads gaps over one connection as long as that is fast, and returns
// those that are left. Further ones would only be in its way: what comes in
// order is summed without being read again. One slow piece may be chance.
func (t *transfer) alone(ctx context.Context, gaps []span) ([]span, error) {
	for slow := 0; slow < 2 && len(gaps) > 0; gaps = gaps[1:] {
		began := time.Now()
		if err := t.piece(ctx, gaps[0]); err != nil {
			return nil, err
		}
		slow++
		if size := gaps[0].To - gaps[0].From; float64(size) >= time.Since(began).Seconds()*float64(t.o.Fast) {
			slow = 0
		}
	}
	return gaps, nil
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

// finish makes the file last and checks its sum.
func (t *transfer) finish() error {
	sum := t.digest.sum()
	switch {
	case t.digest.at < int64(len(t.what.Begins)):
		return t.digest.wrong()
	case t.digest.at != t.state.Size:
		return ops.Errorf(ops.CodeInternal, "the sum was made of %d of %d bytes", t.digest.at, t.state.Size)
	case t.what.SHA256 != "" && sum != t.what.SHA256:
		return spoilt{ops.Errorf(ops.CodeUnavailable, "what came from %s %w: its SHA-256 is %s, and should be %s", Shown(t.what.URL), ErrSum, sum, t.what.SHA256).
			WithHint("download it again; if it happens again, the server or a proxy on the way changes the file")}
	}
	if err := t.out.Sync(); err != nil {
		return spoilt{writeError(err)} // nobody knows what of it is on the disk
	}
	t.state.SHA256 = sum
	if t.state.Validator == "" {
		return nil
	}
	return t.keep()
}
