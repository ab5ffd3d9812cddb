package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"

	"rbee.dev/rbee/ops"
)

// piece downloads one part of the file, or all of it where the server gives no
// parts.
func (t *transfer) piece(ctx context.Context, s span) error {
	p := t.patience(ctx, t.what.URL, t.hush)
	defer p.end()
	answer, err := t.ask(p.ctx, s)
	if err != nil {
		_, over := errors.AsType[final](err)
		if errors.Is(err, errSilent) || !over && t.have.sum() > 0 && ops.CodeOf(err) == ops.CodeUnavailable {
			err = &again{err: err}
		}
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	if s, err = t.learn(answer, s); err != nil {
		return err
	}
	return t.write(p.reader(answer.Body), s)
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
	header := http.Header{}
	if !t.whole {
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", s.From, s.To-1))
	}
	if check != "" && t.what.SHA256 == "" {
		header.Set("If-Range", check)
	}
	answer, err := t.send(ctx, from, t.what, header)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		err = t.noRange(answer, s)
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

// elsewhere is what to do about a server that answers nonsense.
const elsewhere = "is the address right? If it is, the server is broken, or a proxy on the way: take the file from another"

// noRange is the error of a 416: a file that has become shorter, or one that the
// server says is empty, or whatever it means.
func (t *transfer) noRange(answer *http.Response, asked span) error {
	if t.have.sum() > 0 {
		return &again{err: errChanged}
	}
	means := ""
	switch told := answer.Header.Get("Content-Range"); told {
	case "":
	case "bytes */0":
		means = ": it says that the file is empty"
	default:
		means = fmt.Sprintf(": it says %q", told)
	}
	return ops.Errorf(ops.CodeUnavailable, "download %s: the server was asked for bytes %d to %d and answers %s%s",
		Shown(t.what.URL), asked.From, asked.To-1, answer.Status, means).
		WithHint("%s", t.what.doubted(elsewhere))
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
				Shown(t.what.URL), asked.From, asked.To-1, answer.Header.Get("Content-Range")).WithHint("%s", t.what.doubted(elsewhere))
		}
		if n := answer.ContentLength; n >= 0 && n != part.To-part.From { // it would break off each time, a little later
			return span{}, ops.Errorf(ops.CodeUnavailable, "download %s: the server says that it gives %q, and also that this is %d bytes",
				Shown(t.what.URL), answer.Header.Get("Content-Range"), n).WithHint("%s", t.what.doubted(elsewhere))
		}
	}
	begun := t.have.sum() > 0
	known, same := t.recognize(answer.Header, begun)
	if begun && (!ranges || !same || size != t.state.Size) {
		return span{}, &again{err: errChanged}
	}
	if t.what.Size >= 0 && size >= 0 && size != t.what.Size {
		return span{}, ops.Errorf(ops.CodeUnavailable, "%s has %d bytes, but should have %d", Shown(t.what.URL), size, t.what.Size).WithHint("%s", t.what.doubted(elsewhere))
	}
	if !begun {
		t.mu.Lock()
		t.state.Size, t.state.Validator, t.ranges = size, known, ranges
		t.mu.Unlock()
	}
	room := size - t.have.sum()
	if t.what.Unpacks {
		room += max(0, size)
	}
	return part, CheckRoom(filepath.Dir(t.path), room)
}

// recognize is the mark that an answer bears, and whether that is the one of what has
// come so far. Where the sum is known, that tells a change, whatever the marks do.
func (t *transfer) recognize(h http.Header, begun bool) (mark string, same bool) {
	if !t.whole { // or it says nothing
		mark = validator(h)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	same = mark == t.state.Validator || t.what.SHA256 != ""
	if same {
		t.state.Validator = mark
	}
	if same && begun {
		t.unsure = false
	}
	return mark, same
}

// write writes a part of the file as it comes.
func (t *transfer) write(in io.Reader, s span) error {
	buf := t.digest.block()
	at, begun := s.From, s.From
	defer func() {
		writeBack(t.out, span{begun, at})
		t.digest.blocks.Put(buf)
	}()
	for s.To < 0 || at < s.To {
		room := int64(len(buf))
		if s.To >= 0 {
			room = min(room, s.To-at)
		}
		n, err := in.Read(buf[:room])
		t.writing.Lock()
		_, failed := t.out.WriteAt(buf[:n], at)
		t.writing.Unlock()
		if failed != nil {
			return writeError(failed)
		}
		t.have.add(at, at+int64(n))
		buf = t.digest.offer(chunk{buf, at, n})
		at += int64(n)
		if at-begun >= keepEvery {
			writeBack(t.out, span{begun, at})
			begun = at
		}
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
		return &again{err: ops.Errorf(ops.CodeUnavailable, "the download broke off at %d of %d bytes", sum, t.state.Size), short: true}
	}
	return &again{err: ops.Errorf(ops.CodeUnavailable, "the download broke off at %d bytes: %w", sum, err)}
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

// keep writes down how far the download is. What comes meanwhile is not held up.
func (t *transfer) keep() error {
	t.keeping.Lock()
	defer t.keeping.Unlock()
	t.mu.Lock()
	t.state.Have = t.have.all()
	now := t.state
	t.mu.Unlock()
	return now.write(t.path)
}
