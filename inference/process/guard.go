package process

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
)

// guard watches an answer for its breaking off.
func (l *life) guard(answer *http.Response) error {
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	answer.Body = &guarded{
		ReadCloser: answer.Body, life: l, answer: answer,
		events: err == nil && kind == "text/event-stream",
	}
	return nil
}

// guarded is the body of an answer. Where an event stream breaks off it goes on
// with an event that says why, which is how OpenAI's API tells of errors in the
// middle of a stream.
type guarded struct {
	io.ReadCloser
	life   *life
	answer *http.Response
	events bool
	begun  bool   // something was read
	last   []byte // the end of what was read
	rest   []byte // what is put in place of what is missing
	over   bool
}

var lastEvent = []byte("data: [DONE]")

// Read reads the answer, and then the reason for its end where it broke off.
func (g *guarded) Read(p []byte) (int, error) {
	if g.over {
		if len(g.rest) == 0 {
			return 0, io.EOF
		}
		n := copy(p, g.rest)
		g.rest = g.rest[n:]
		return n, nil
	}
	n, err := g.wait(p)
	g.begun = g.begun || n > 0
	g.remember(p[:n])
	if err == nil || errors.Is(err, io.EOF) && !g.endsInVain() || g.answer.Request.Context().Err() != nil {
		return n, err
	}
	why := g.life.explain(g.answer.Request, err, g.begun)
	if !g.events || !g.between() {
		if silent, ok := g.answer.Request.Context().Value(silentKey{}).(*bool); ok {
			*silent = true
		}
		return n, why
	}
	g.over = true
	g.rest = append(append([]byte("data: "), body(why)...), "\n\n"...)
	return n, nil
}

// wait reads what comes next from the process.
func (g *guarded) wait(p []byte) (int, error) {
	if g.answer.Request.Method != http.MethodPost {
		return g.ReadCloser.Read(p)
	}
	w := g.life.watch
	w.begin()
	defer w.end()
	n, err := g.ReadCloser.Read(p)
	if n > 0 {
		w.heard()
	}
	return n, err
}

// between reports whether what was read ends with a whole event.
func (g *guarded) between() bool {
	return len(g.last) == 0 || bytes.HasSuffix(g.last, []byte("\n\n")) || bytes.HasSuffix(g.last, []byte("\r\n\r\n"))
}

// remember keeps the end of what was read.
func (g *guarded) remember(p []byte) {
	const enough = 20
	if !g.events {
		return
	}
	g.last = append(g.last, p[max(0, len(p)-enough):]...)
	if n := len(g.last) - enough; n > 0 {
		g.last = append(g.last[:0], g.last[n:]...)
	}
}

// endsInVain reports whether an answer that seems to have ended was cut short
// by the end of the process: one whose end is that of its connection.
func (g *guarded) endsInVain() bool {
	framed := g.answer.ContentLength >= 0 || len(g.answer.TransferEncoding) > 0
	return g.events && !framed && !bytes.HasSuffix(bytes.TrimSpace(g.last), lastEvent) && g.life.gone(noticeWithin/5)
}
