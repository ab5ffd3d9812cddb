package tokenizer

import (
	"container/heap"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// space is how SentencePiece spells a space (U+2581).
const space = "▁"

// sentencePiece joins neighbouring pieces, best score first, beginning with
// single characters; what no piece covers becomes byte tokens.
type sentencePiece struct {
	t           *Tokenizer
	scores      []float32
	bytes       [256]int32 // the tokens <0x00> to <0xFF>, -1 where missing
	unknown     int32
	spacePrefix bool
}

// newSentencePiece reads a vocabulary that was checked.
func newSentencePiece(t *Tokenizer, md Metadata) *sentencePiece {
	s := &sentencePiece{t: t, unknown: -1, spacePrefix: true}
	s.scores, _ = md.Floats("tokenizer.ggml.scores")
	if add, ok := md.Bool("tokenizer.ggml.add_space_prefix"); ok {
		s.spacePrefix = add
	}
	if id, ok := md.Uint("tokenizer.ggml.unknown_token_id"); ok && id < uint64(len(t.pieces)) {
		s.unknown = int32(id) //nolint:gosec // below maxVocabulary
	}
	for b := range s.bytes {
		s.bytes[b] = -1
		if id, ok := t.ids[fmt.Sprintf("<0x%02X>", b)]; ok {
			s.bytes[b] = id
		}
	}
	return s
}

// symbol is a piece of the text on its way to a token, linked to its
// neighbours; size 0 is one that was joined to the one before.
type symbol struct {
	at, size   int
	prev, next int
}

// pair is two neighbours that could be joined.
type pair struct {
	left, right int
	size        int // of both together, to notice that one has changed
	score       float32
}

type pairs []pair

func (p pairs) Len() int { return len(p) }
func (p pairs) Less(i, j int) bool {
	if p[i].score != p[j].score {
		return p[i].score > p[j].score
	}
	return p[i].left < p[j].left
}
func (p pairs) Swap(i, j int) { p[i], p[j] = p[j], p[i] }
func (p *pairs) Push(x any)   { *p = append(*p, x.(pair)) }
func (p *pairs) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}

func (s *sentencePiece) encode(dst []int32, text string) []int32 {
	text = strings.ReplaceAll(text, " ", space)
	if s.spacePrefix { // before each text between special tokens
		text = space + text
	}
	symbols := characters(text)
	s.merge(text, symbols)
	for i := 0; i != -1 && i < len(symbols); i = symbols[i].next {
		dst = s.emit(dst, text[symbols[i].at:symbols[i].at+symbols[i].size])
	}
	return dst
}

// characters splits text into its characters. A byte that is no UTF-8 is one.
func characters(text string) []symbol {
	symbols := make([]symbol, 0, len(text))
	for at := 0; at < len(text); {
		_, size := utf8.DecodeRuneInString(text[at:])
		i := len(symbols)
		symbols = append(symbols, symbol{at: at, size: size, prev: i - 1, next: i + 1})
		at += size
	}
	if len(symbols) > 0 {
		symbols[len(symbols)-1].next = -1
	}
	return symbols
}

func (s *sentencePiece) merge(text string, symbols []symbol) {
	var queue pairs
	offer := func(left, right int) {
		if left < 0 || right < 0 {
			return
		}
		size := symbols[left].size + symbols[right].size
		if id, ok := s.t.ids[text[symbols[left].at:symbols[left].at+size]]; ok {
			heap.Push(&queue, pair{left, right, size, s.scores[id]})
		}
	}
	for i := 1; i < len(symbols); i++ {
		offer(i-1, i)
	}
	for len(queue) > 0 {
		p := heap.Pop(&queue).(pair)
		left, right := &symbols[p.left], &symbols[p.right]
		if left.size == 0 || right.size == 0 || left.size+right.size != p.size {
			continue // one of them was joined to another meanwhile
		}
		join(symbols, p.left, p.right)
		offer(left.prev, p.left)
		offer(p.left, left.next)
	}
}

// join makes the symbol at right part of the one at left.
func join(symbols []symbol, left, right int) {
	l, r := &symbols[left], &symbols[right]
	l.size += r.size
	r.size = 0
	l.next = r.next
	if r.next >= 0 {
		symbols[r.next].prev = left
	}
}

// emit adds the token of one piece, or of each of its bytes.
func (s *sentencePiece) emit(dst []int32, piece string) []int32 {
	if id, ok := s.t.ids[piece]; ok {
		return append(dst, id)
	}
	for i := range len(piece) {
		switch id := s.bytes[piece[i]]; {
		case id >= 0:
			dst = append(dst, id)
		case s.unknown >= 0:
			dst = append(dst, s.unknown)
		}
	}
	return dst
}

func (s *sentencePiece) piece(id int32) []byte {
	text := s.t.pieces[id]
	if s.t.kind(id) == typeByte {
		if b, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(text, "<0x"), ">"), 16, 8); err == nil {
			return []byte{byte(b)}
		}
	}
	return []byte(strings.ReplaceAll(text, space, " "))
}
