package hive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// source is a model's file where it comes from. It is known to begin as a GGUF
// file does.
type source struct {
	io.Reader
	size  int64 // -1 when nobody says
	close func() error
}

// Close gives the file or the connection up, which was only read from.
func (s *source) Close() { _ = s.close() }

// shown is a source without the password that a URL may hold.
func shown(source string) string {
	if u, err := url.Parse(source); err == nil && u.User != nil {
		return u.Redacted()
	}
	return source
}

// openSource opens a file or begins a download.
func openSource(ctx context.Context, from string) (*source, error) {
	var s *source
	var err error
	switch {
	case strings.HasPrefix(from, "http://") || strings.HasPrefix(from, "https://"):
		s, err = openURL(ctx, from)
	case filepath.IsAbs(from):
		s, err = openFile(from)
	default:
		err = ops.Invalid("model", "must be an absolute path or an http(s) URL, got %q", from)
	}
	if err != nil {
		return nil, err
	}
	magic := make([]byte, 4)
	n, err := io.ReadFull(s, magic)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || err == nil && string(magic) != "GGUF" {
		s.Close()
		return nil, ops.Invalid("model", "%s is no GGUF file: it does not begin as one", shown(from))
	}
	if err != nil {
		s.Close()
		return nil, ops.Errorf(ops.CodeUnavailable, "read %s: %w", shown(from), err)
	}
	s.Reader = io.MultiReader(strings.NewReader(string(magic[:n])), s.Reader)
	return s, nil
}

func openFile(path string) (*source, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ops.Errorf(ops.CodeNotFound, "there is no file %s on this machine", path)
	}
	if err != nil {
		return nil, ops.Invalid("model", "cannot be opened: %w", err)
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, also(ops.Invalid("model", "%s is no regular file", path), errors.Join(err, f.Close()))
	}
	return &source{Reader: f, size: info.Size(), close: f.Close}, nil
}

// maxRedirects is how often a server may send a download elsewhere.
const maxRedirects = 10

// stalledAfter is how long a server may send nothing.
const stalledAfter = time.Minute

func openURL(ctx context.Context, from string) (*source, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stalled := time.AfterFunc(stalledAfter, func() { cancel(fmt.Errorf("nothing came for %s", stalledAfter)) })
	give := func() {
		stalled.Stop()
		cancel(nil)
	}
	answer, err := get(ctx, from) //nolint:bodyclose // the source's close does
	if err != nil {
		give()
		return nil, err
	}
	body := &patientReader{in: answer.Body, ctx: ctx, stalled: stalled}
	return &source{Reader: body, size: answer.ContentLength, close: func() error {
		give()
		return answer.Body.Close()
	}}, nil
}

// patientReader puts the moment off at which its connection counts as stalled.
type patientReader struct {
	in      io.Reader
	ctx     context.Context //nolint:containedctx // of the one request that it reads
	stalled *time.Timer
}

// Read reads from the connection. Why that was given up says more than how.
func (p *patientReader) Read(b []byte) (int, error) {
	n, err := p.in.Read(b)
	p.stalled.Reset(stalledAfter)
	if err != nil && !errors.Is(err, io.EOF) && p.ctx.Err() != nil {
		err = context.Cause(p.ctx)
	}
	return n, err
}

// get begins a download, and refuses what cannot be a model.
func get(ctx context.Context, from string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, ops.Invalid("model", "is no URL: %w", err)
	}
	r.Header.Set("User-Agent", "rbee")
	client := http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, DisableCompression: true, ForceAttemptHTTP2: true},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("it was sent elsewhere %d times", len(via))
			}
			return nil
		},
	}
	answer, err := client.Do(r)
	if err != nil {
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err // without the URL, which may hold a password
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		if _, ok := errors.AsType[*ops.Error](err); ok || errors.Is(err, ops.ErrDetached) {
			return nil, err
		}
		return nil, ops.Errorf(ops.CodeUnavailable, "download %s: %w", shown(from), err)
	}
	if err := checkAnswer(answer, from); err != nil {
		return nil, also(err, answer.Body.Close())
	}
	return answer, nil
}

func checkAnswer(answer *http.Response, from string) error {
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")) // none is as good as a wrong one
	switch answer.StatusCode {
	case http.StatusOK:
		if kind != "text/html" {
			return nil
		}
		return ops.Invalid("model", "%s is a web page, not a GGUF file", shown(from)).
			WithHint("give the address of the file itself: on Hugging Face it has /resolve/ where the page has /blob/")
	case http.StatusNotFound, http.StatusGone:
		return ops.Errorf(ops.CodeNotFound, "there is nothing at %s (%s)", shown(from), answer.Status)
	case http.StatusUnauthorized, http.StatusForbidden:
		return ops.Errorf(ops.CodeDenied, "%s is not given to everybody (%s)", shown(from), answer.Status).
			WithHint("download it in a browser, then `rbee model download` the file")
	}
	return ops.Errorf(ops.CodeUnavailable, "download %s: the server answers %s", shown(from), answer.Status)
}
