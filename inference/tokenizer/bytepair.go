package tokenizer

import (
	"container/heap"
	"strings"
)

// bytePair is byte-level BPE: the text is split by the pre-tokenizer, each byte
// spelled as a printable character, and neighbours are joined in the order of
// the file's merges.
type bytePair struct {
	t     *Tokenizer
	ranks map[[2]string]int32
	split splitter
	spell [256]string
	bytes map[rune]byte
	// whole takes a piece that is a token as it is before any merge.
	whole bool
}

// newBytePair reads a vocabulary that was checked.
func newBytePair(t *Tokenizer, md Metadata) *bytePair {
	name := preTokenizer(md)
	b := &bytePair{t: t, ranks: map[[2]string]int32{}, bytes: map[rune]byte{}, split: splitters[name], whole: name == "llama-bpe"}
	merges, _ := md.Strings("tokenizer.ggml.merges")
	for i, m := range merges {
		left, right, _ := cutMerge(m)
		b.ranks[[2]string{left, right}] = int32(i) //nolint:gosec // far fewer
	}
	next := rune(256)
	for i := range b.spell {
		r := rune(i)
		if !printable(r) {
			r = next
			next++
		}
		b.spell[i], b.bytes[r] = string(r), byte(i)
	}
	return b
}

// cutMerge splits a merge at the space between its halves; a space is never
// the first character of a half.
func cutMerge(m string) (left, right string, ok bool) {
	if len(m) < 3 {
		return "", "", false
	}
	at := strings.IndexByte(m[1:], ' ') + 1
	if at == 0 || at == len(m)-1 {
		return "", "", false
	}
	return m[:at], m[at+1:], true
}

// printable reports whether byte-level BPE spells the byte as itself.
func printable(r rune) bool {
	return r >= '!' && r <= '~' || r >= '¡' && r <= '¬' || r >= '®' && r <= 'ÿ'
}

func (b *bytePair) encode(dst []int32, text string) []int32 {
	for text != "" {
		n := b.split(text)
		dst = b.word(dst, text[:n])
		text = text[n:]
	}
	return dst
}

// word adds the tokens of one piece of the pre-tokenizer's.
func (b *bytePair) word(dst []int32, word string) []int32 {
	var spelled strings.Builder
	for i := range len(word) {
		spelled.WriteString(b.spell[word[i]])
	}
	text := spelled.String()
	if id, ok := b.t.ids[text]; ok && b.whole {
		return append(dst, id)
	}
	symbols := characters(text)
	b.merge(text, symbols)
	for i := 0; i != -1 && i < len(symbols); i = symbols[i].next {
		piece := text[symbols[i].at : symbols[i].at+symbols[i].size]
		if id, ok := b.t.ids[piece]; ok {
			dst = append(dst, id)
			continue
		}
		for _, r := range piece { // a vocabulary without this byte loses it
			if id, ok := b.t.ids[string(r)]; ok {
				dst = append(dst, id)
			}
		}
	}
	return dst
}

func (b *bytePair) merge(text string, symbols []symbol) {
	var queue pairs
	part := func(i int) string { return text[symbols[i].at : symbols[i].at+symbols[i].size] }
	offer := func(left, right int) {
		if left < 0 || right < 0 {
			return
		}
		if rank, ok := b.ranks[[2]string{part(left), part(right)}]; ok {
			heap.Push(&queue, pair{left, right, symbols[left].size + symbols[right].size, -float32(rank)})
		}
	}
	for i := 1; i < len(symbols); i++ {
		offer(i-1, i)
	}
	for len(queue) > 0 {
		p := heap.Pop(&queue).(pair)
		left, right := &symbols[p.left], &symbols[p.right]
		if left.size == 0 || right.size == 0 || left.size+right.size != p.size || left.next != p.right {
			continue
		}
		join(symbols, p.left, p.right)
		offer(left.prev, p.left)
		offer(p.left, left.next)
	}
}

func (b *bytePair) piece(id int32) []byte {
	var out []byte
	for _, r := range b.t.pieces[id] {
		if c, ok := b.bytes[r]; ok {
			out = append(out, c)
		} else {
			out = append(out, string(r)...)
		}
	}
	return out
}
