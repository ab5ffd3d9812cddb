package gateway

import (
	"bytes"
	"errors"
	"io"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// copyEvents copies a stream of that worker's, which end looks at, by whole lines:
// a piece of one is held until the rest comes, unless it is long.
func (p *reply) copyEvents(body io.Reader, by *ops.Worker, end *ending) error {
	buf := smallBuffers.Get().(*[]byte)
	defer smallBuffers.Put(buf)
	held := 0
	for {
		n, err := body.Read((*buf)[held:])
		text := (*buf)[:held+n]
		whole := bytes.LastIndexByte(text, '\n') + 1
		if err != nil || whole == 0 && len(text) == len(*buf) {
			whole = len(text)
		}
		if whole > 0 {
			out := p.named(text[:whole], by)
			if p.write(out, true) != nil {
				return errGone
			}
			end.saw(out)
		}
		held = copy(*buf, text[whole:])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// named is lines of a stream, of which an error event says whose it is, and what to do.
// One that is the request's own fault is left as it is.
func (p *reply) named(lines []byte, by *ops.Worker) []byte {
	if !bytes.Contains(lines, []byte(`"error"`)) {
		return lines
	}
	var out []byte
	for line := range bytes.Lines(lines) {
		data, event := bytes.CutPrefix(line, []byte("data:"))
		if event && transport.IsEngineError(data) {
			if e := transport.EngineError(0, data); schedule.FaultOf(e) != schedule.OfRequest || !transport.InOpenAIsForm(data) {
				p.failed = schedule.ByWorker(e, by)
				line = bytes.TrimSuffix(p.lastEvent(p.failed), []byte("\n")) // which comes as it did
			}
		}
		out = append(out, line...)
	}
	return out
}
