package tokenizer

import "unicode/utf8"

// Decoder joins tokens to text as they come, and holds back the bytes of a
// character until all of them are there. It is one answer's.
type Decoder struct {
	t    *Tokenizer
	held []byte
}

// NewDecoder begins a text.
func (t *Tokenizer) NewDecoder() *Decoder { return &Decoder{t: t} }

// Next adds a token and returns the whole characters that are ready, which may
// be none. Bytes that can never become a character are returned as U+FFFD.
func (d *Decoder) Next(id int32) string {
	d.held = append(d.held, d.t.Piece(id)...)
	end := len(d.held)
	for back := 1; back <= min(utf8.UTFMax-1, len(d.held)); back++ {
		b := d.held[len(d.held)-back]
		if utf8.RuneStart(b) {
			if !utf8.FullRune(d.held[len(d.held)-back:]) {
				end -= back
			}
			break
		}
	}
	ready := valid(d.held[:end])
	d.held = append(d.held[:0], d.held[end:]...)
	return ready
}

// Flush returns what is held back at the end of the text.
func (d *Decoder) Flush() string {
	rest := valid(d.held)
	d.held = nil
	return rest
}

func valid(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return string([]rune(string(b)))
}
