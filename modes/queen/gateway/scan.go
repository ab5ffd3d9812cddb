package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

// asked is what the gateway has to know of a request's body. The rest is the
// engine's.
type asked struct {
	model    string
	alias    string // what the request calls it, where that is another name
	from, to int    // where the model's name is in the body, with its quotes
	stream   bool
	greedy   bool   // the temperature is 0
	seeded   bool   // a seed is given
	most     int    // tokens that an answer may have, 0 where nothing is said
	choices  int    // answers that are wanted, 0 likewise
	prompt   []byte // as it stands in the body: messages, prompt or input
	images   bool   // the prompt may hold some
}

// repeatable reports whether the same request has the same answer again.
func (a asked) repeatable() bool { return a.greedy || a.seeded }

var errNotObject = errors.New("the body is not a JSON object")

// scan finds the members model, stream, messages, temperature and seed of the JSON object in body without
// decoding the rest, which may be megabytes of prompt or images. It sees to the
// object's outline only; whether all of it is JSON the engine will say. A member
// that is there twice counts as it was given last, as it does for encoding/json.
func scan(body []byte) (a asked, err error) {
	s := scanner{text: body}
	if s.space(); !s.is('{') {
		return a, errNotObject
	}
	if s.space(); s.is('}') {
		return a, nil
	}
	for {
		s.space()
		key, ok := s.quoted()
		if s.space(); !ok || !s.is(':') {
			return a, errNotObject
		}
		s.space()
		from := s.at
		s.image = false
		if !s.value() {
			return a, errNotObject
		}
		if bytes.IndexByte(key, '\\') >= 0 {
			key = unescaped(key)
		}
		switch value := body[from:s.at]; string(key) {
		case `"model"`:
			a.from, a.to = from, s.at
			if json.Unmarshal(value, &a.model) != nil {
				return a, errors.New("model must be a text")
			}
		case `"stream"`:
			a.stream = string(value) == "true"
		case `"temperature"`:
			var t float64
			a.greedy = string(value) != "null" && json.Unmarshal(value, &t) == nil && t == 0
		case `"seed"`:
			var n int64
			a.seeded = string(value) != "null" && json.Unmarshal(value, &n) == nil && n >= 0 // a negative one is random
		case `"max_tokens"`, `"max_completion_tokens"`, `"max_output_tokens"`:
			a.most = max(a.most, amount(value))
		case `"n"`:
			a.choices = amount(value)
		case `"messages"`, `"prompt"`, `"input"`:
			a.prompt, a.images = value, s.image
		}
		s.space()
		if s.is('}') {
			return a, nil
		}
		if !s.is(',') {
			return a, errNotObject
		}
	}
}

// unescaped is a member's name, with its quotes, as JSON reads it.
func unescaped(key []byte) []byte {
	var name string
	if json.Unmarshal(key, &name) != nil {
		return key // which the engine will say
	}
	return []byte(`"` + name + `"`)
}

// amount is a whole number of things, 0 for whatever else a member holds.
func amount(value []byte) int {
	n, err := strconv.Atoi(string(value))
	if err != nil || n < 0 {
		return 0
	}
	return min(n, mostAmount)
}

// mostAmount keeps products of such numbers within an int.
const mostAmount = 1 << 24

// scanner walks over JSON (RFC 8259).
type scanner struct {
	text  []byte
	at    int
	image bool // a string that the parts of a prompt have which are images
}

// is steps over c, if that comes next.
func (s *scanner) is(c byte) bool {
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// quoted steps over a string and returns it with its quotes.
func (s *scanner) quoted() ([]byte, bool) {
	from := s.at
	if !s.is('"') {
		return nil, false
	}
	for quote := -1; s.at < len(s.text); {
		if quote < s.at {
			next := bytes.IndexByte(s.text[s.at:], '"')
			if next < 0 {
				return nil, false
			}
			quote = s.at + next
		}
		escape := bytes.IndexByte(s.text[s.at:quote], '\\')
		if escape < 0 {
			s.at = quote + 1
			return s.text[from:s.at], true
		}
		s.at += escape + 2
	}
	return nil, false
}

// value steps over a value. In objects and arrays only strings and brackets
// matter.
func (s *scanner) value() bool {
	for depth := 0; s.at < len(s.text); {
		switch c := s.text[s.at]; c {
		case '"':
			text, ok := s.quoted()
			if !ok {
				return false
			}
			s.image = s.image || string(text) == `"image_url"`
		case '{', '[':
			depth++
			s.at++
			continue
		case '}', ']':
			if depth == 0 {
				return false
			}
			depth--
			s.at++
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return false
			}
			s.at++
			continue
		default:
			s.word()
		}
		if depth == 0 {
			return true
		}
	}
	return false
}

// word steps over a number, true, false or null.
func (s *scanner) word() {
	for s.at++; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case ',', ':', ' ', '\t', '\n', '\r', '}', ']', '{', '[', '"':
			return
		}
	}
}
