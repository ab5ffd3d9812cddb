package fetch

import (
	"context"
	"errors"
	"io"
	"net/url"
	"time"

	"rbee.dev/rbee/ops"
)

// errSilent says that a server was given up because nothing came from it.
var errSilent = errors.New("nothing has come")

// patience is for how long a request waits for its server to say anything, at its
// beginning and between two reads. It gives the request up after Options.Stalled.
type patience struct {
	ctx     context.Context //nolint:containedctx // of the one request that it is for
	cancel  context.CancelCauseFunc
	hush    *time.Timer // of [Fetcher.hush]
	shared  bool        // by others of the same download, and not ours to stop
	stalled *time.Timer
	o       *Options
}

// hush says, once in each silence, that nothing has come for a while. Whoever
// makes it stops it.
func (f *Fetcher) hush(ctx context.Context, from string) *time.Timer {
	return time.AfterFunc(f.o.Hush, func() {
		ops.Warn(ctx, "server_silent", "nothing has come from %s for %s: waiting", hostOf(from), f.o.Hush)
	})
}

// patience begins to wait; [patience.end] ends it. Requests of one download may
// share a hush; nil makes one.
func (f *Fetcher) patience(ctx context.Context, from string, hush *time.Timer) *patience {
	p := &patience{hush: hush, shared: hush != nil, o: &f.o}
	if !p.shared {
		p.hush = f.hush(ctx, from)
	}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	given := ops.Errorf(ops.CodeUnavailable, "%w from %s for %s", errSilent, hostOf(from), f.o.Stalled)
	p.stalled = time.AfterFunc(f.o.Stalled, func() { p.cancel(given) })
	p.hush.Reset(f.o.Hush)
	return p
}

// end gives everything of the request up.
func (p *patience) end() {
	p.stalled.Stop()
	if !p.shared {
		p.hush.Stop()
	}
	p.cancel(nil)
}

// reader reads an answer's body, patiently.
func (p *patience) reader(in io.Reader) io.Reader { return &patientReader{in, p} }

type patientReader struct {
	in io.Reader
	*patience
}

// Read reads from the connection. Why that was given up says more than how.
func (r *patientReader) Read(b []byte) (int, error) {
	if r.ctx.Err() != nil { // what is on its way already would hide it for a while
		return 0, context.Cause(r.ctx)
	}
	r.stalled.Reset(r.o.Stalled)
	r.hush.Reset(r.o.Hush)
	n, err := r.in.Read(b)
	r.stalled.Stop() // a disk that is slow is not the server's fault
	r.hush.Stop()
	if err != nil && !errors.Is(err, io.EOF) && r.ctx.Err() != nil {
		err = context.Cause(r.ctx)
	}
	return n, err
}

// hostOf is the server that a URL names, for a person.
func hostOf(from string) string {
	if u, err := url.Parse(from); err == nil && u.Host != "" {
		return u.Host
	}
	return Shown(from)
}
