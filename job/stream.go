package job

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"rbee.dev/rbee/ops"
)

// frames writes an event stream (the HTML standard's text/event-stream) to one
// reader. A reader that takes nothing for the write timeout is given up.
type frames struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	buf     bytes.Buffer
}

// newFrames begins a stream. Its headers go with what is sent first.
func newFrames(w http.ResponseWriter, timeout time.Duration) *frames {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	w.WriteHeader(http.StatusOK)
	return &frames{w: w, control: http.NewResponseController(w), timeout: timeout}
}

// add puts one event into the buffer. Its data holds no newline.
func (f *frames) add(id uint64, kind string, data []byte) {
	f.buf.WriteString("id: ")
	f.buf.WriteString(strconv.FormatUint(id, 10))
	if kind != "" {
		f.buf.WriteString("\nevent: ")
		f.buf.WriteString(kind)
	}
	f.buf.WriteString("\ndata: ")
	f.buf.Write(data)
	f.buf.WriteString("\n\n")
}

// send sends events, some at a time, so that a reader far behind does not have
// all of them copied at once.
func (f *frames) send(events []event) error {
	const some = 16 << 10
	for _, e := range events {
		f.add(e.id, e.kind, e.data)
		if f.buf.Len() >= some {
			if err := f.flush(); err != nil {
				return err
			}
		}
	}
	return f.flush()
}

// comment sends a line that readers ignore and that keeps proxies awake.
func (f *frames) comment() error {
	f.buf.WriteString(": still here\n\n")
	return f.flush()
}

func (f *frames) flush() error {
	if err := f.control.SetWriteDeadline(time.Now().Add(f.timeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := f.w.Write(f.buf.Bytes()); err != nil {
		return err
	}
	f.buf.Reset()
	return f.control.Flush()
}

// lastEventID reads where a reconnecting reader stands; 0 is at the beginning.
func lastEventID(r *http.Request) (uint64, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		return 0, nil
	}
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, ops.Invalid("Last-Event-ID", "must be the number of an event, got %q", text)
	}
	return id, nil
}

// headersWithin is how long a stream's headers wait for the first event. By
// themselves they would wake every daemon on the way, at the moment when all of
// them have that event's job to start.
const headersWithin = 50 * time.Millisecond

// errNothingYet says that the first event takes longer than headersWithin.
var errNothingYet = errors.New("no event yet")

// stream sends what reader pulls of the job to one reader, until the last event
// or until the reader goes, and closes reader.
func (s *Server[O]) stream(w http.ResponseWriter, r *http.Request, j *job, reader *reader) {
	ctx, leave := s.enterStream(r)
	defer leave()
	defer reader.Close()
	f := newFrames(w, s.WriteTimeout)
	beat, idle := headersWithin, func() error { return errNothingYet }
	for {
		events, err := reader.next(ctx, beat, idle)
		beat, idle = s.Heartbeat, f.comment
		switch {
		case errors.Is(err, io.EOF):
			return
		case err == nil:
			err = f.send(events)
		case errors.Is(err, errNothingYet):
			err = f.flush()
		}
		if err != nil {
			j.logger.Debug().Err(err).Msg("a reader's stream ended early")
			return
		}
	}
}

// streamState sends the daemon's state, then each change, until the reader
// goes.
func (s *Server[O]) streamState(w http.ResponseWriter, r *http.Request) {
	ctx, leave := s.enterStream(r)
	defer leave()
	f := newFrames(w, s.WriteTimeout)
	if f.flush() != nil {
		return
	}
	s.watch.Add(1) // before what is told first, so that no change after that is missed
	defer s.watch.Add(-1)
	if s.State != nil {
		s.Refresh()
	}
	var version uint64
	for {
		text, newest, changed := s.state.after(version)
		if changed != nil {
			if err := wait(ctx, changed, s.Heartbeat, f.comment); err != nil {
				return
			}
			continue
		}
		version = newest
		f.add(version, ops.KindState, text)
		if err := f.flush(); err != nil {
			return
		}
	}
}

// enterStream returns a context that ends with the request, and when the server
// closes its streams. leave must be called at the stream's end.
func (s *Server[O]) enterStream(r *http.Request) (ctx context.Context, leave func()) {
	ctx, cancel := context.WithCancelCause(r.Context())
	s.streams.enter()
	stop := context.AfterFunc(s.open, func() { cancel(errLeft) })
	return ctx, func() {
		stop()
		cancel(nil)
		s.streams.leave()
	}
}
