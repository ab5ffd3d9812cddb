package fetch

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// SampleSize is how much of a file [Fetcher.Sooner] asks for, in bytes.
const SampleSize = 1 << 20

// Sooner asks for the beginning of a file in two places at the same time, and
// reports whether b brought it before a did. Where neither does, it is an error,
// which is a's. Nothing of it is kept.
func (f *Fetcher) Sooner(ctx context.Context, a, b File) (bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type arrival struct {
		second bool
		err    error
	}
	arrived := make(chan arrival, 2)
	for _, second := range []bool{false, true} {
		go func() { // its arrival is waited for below
			what := a
			if second {
				what = b
			}
			arrived <- arrival{second, f.sample(ctx, what)}
		}()
	}
	first := <-arrived
	if first.err == nil {
		cancel()
		<-arrived
		return first.second, nil
	}
	other := <-arrived
	if other.err != nil && !other.second {
		return false, other.err
	}
	if other.err != nil {
		return false, first.err
	}
	return other.second, nil
}

// sample reads the beginning of a file and forgets it.
func (f *Fetcher) sample(ctx context.Context, what File) error {
	_, err := f.Head(ctx, what)
	return err
}

// Head reads the beginning of a file: SampleSize bytes, or all where it is shorter.
func (f *Fetcher) Head(ctx context.Context, what File) ([]byte, error) {
	p := f.patience(ctx, what.URL, nil)
	defer p.end()
	answer, err := f.send(p.ctx, what.URL, what, http.Header{"Range": {fmt.Sprintf("bytes=0-%d", SampleSize-1)}})
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	if err := refusal(answer, what); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(p.reader(answer.Body), SampleSize))
	if err != nil {
		return nil, fmt.Errorf("read the beginning of %s: %w", Shown(what.URL), err)
	}
	return text, nil
}
