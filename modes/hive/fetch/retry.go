package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"

	"rbee.dev/rbee/ops"
)

// retry does what asks a server for something short, and does it again where the
// server cannot answer now: half as often as a file is asked for, since somebody
// waits to hear what it is.
func (f *Fetcher) retry(ctx context.Context, do func() error) error {
	pauses := f.o.Backoff()
	for failed := 1; ; failed++ {
		err := do()
		a, ok := errors.AsType[*again](err)
		if !ok {
			return err
		}
		if failed >= max(1, f.o.Tries/2) {
			return hinted(a.err)
		}
		if err := f.pause(ctx, a, pauses); err != nil {
			return err
		}
	}
}

// pause waits before the next try.
func (f *Fetcher) pause(ctx context.Context, a *again, pauses backoff.BackOff) error {
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

// Look asks a server how long a file is, in bytes, which also tells that it has
// it, and by which mark this version of it is told from others: a strong ETag, or
// Last-Modified. -1 and "" are that the server does not say.
func (f *Fetcher) Look(ctx context.Context, what File) (size int64, mark string, err error) {
	err = f.retry(ctx, func() error {
		p := f.patience(ctx, what.URL, nil)
		defer p.end()
		answer, err := f.send(p.ctx, what.URL, what, http.Header{"Range": {fmt.Sprintf("bytes=0-%d", max(0, len(what.Begins)-1))}})
		if err != nil {
			return err
		}
		defer answer.Body.Close() //nolint:errcheck // nobody reads it
		if err := refusal(answer, what); err != nil {
			return err
		}
		size, mark = answer.ContentLength, validator(answer.Header)
		if _, total, ok := contentRange(answer.Header.Get("Content-Range")); ok && answer.StatusCode == http.StatusPartialContent {
			size = total
		}
		return nil
	})
	return size, mark, err
}
