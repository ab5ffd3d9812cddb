package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// printer prints tokens, or all events as lines of JSON.
type printer struct {
	k      *Keeper
	events bool
	seen   uint64 // id of the newest event
	last   byte   // of what was printed
}

// see prints one event.
func (p *printer) see(r transport.Received) error {
	p.seen = r.ID
	if p.events {
		data, err := ops.EncodeEvent(r.Event)
		if err != nil {
			return err
		}
		return p.line(r.ID, r.Event.Kind(), data)
	}
	if t, ok := r.Event.(ops.TokenEvent); ok && t.Text != "" {
		p.last = t.Text[len(t.Text)-1]
		p.k.midLine.Store(p.last != '\n')
		_, err := io.WriteString(p.k.Stdout, t.Text)
		return brokenPipe(err)
	}
	return nil
}

// line prints one event as a line of JSON.
func (p *printer) line(id uint64, kind string, data json.RawMessage) error {
	text, err := json.Marshal(struct {
		ID    uint64          `json:"id,omitempty"`
		Event string          `json:"event"`
		Data  json.RawMessage `json:"data"`
	}{id, kind, data})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.k.Stdout, "%s\n", text)
	return brokenPipe(err)
}

// fail ends an answer that broke off. A failure of the job's own is its next event; what
// the command says itself is none, and has no id.
func (p *printer) fail(err error) error {
	if !p.events {
		return p.finish(false)
	}
	id, failure := p.seen+1, ops.AsError(err)
	_, signalled := errors.AsType[daemon.Signal](err)
	if signalled {
		failure = ops.Errorf(ops.CodeCancelled, "cancelled")
	}
	if signalled || p.seen == 0 || errors.Is(err, transport.ErrUnreachable) {
		id = 0
	}
	data, encodeErr := ops.EncodeEvent(ops.ErrorEvent{Error: *failure})
	if encodeErr != nil {
		return encodeErr
	}
	return p.line(id, ops.KindError, data)
}

// finish ends the text with a newline, if it has none; an answer that broke off
// in the middle too, so that the error stands on a line of its own.
func (p *printer) finish(whole bool) error {
	p.k.midLine.Store(false)
	if p.events || p.last == '\n' || p.last == 0 && !whole {
		return nil
	}
	_, err := io.WriteString(p.k.Stdout, "\n")
	if !whole {
		return nil // the error that broke it off is the one to show
	}
	return brokenPipe(err)
}
