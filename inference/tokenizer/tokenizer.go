package tokenizer

import (
	"slices"
	"strings"
)

// Metadata is what the tokenizer reads of a model file.
type Metadata interface {
	String(key string) (string, bool)
	Uint(key string) (uint64, bool)
	Bool(key string) (bool, bool)
	Strings(key string) ([]string, bool)
	Floats(key string) ([]float32, bool)
	Ints(key string) ([]int32, bool)
}

// The types of tokens (llama.h, enum llama_token_type).
const (
	typeNormal      = 1
	typeUnknown     = 2
	typeControl     = 3
	typeUserDefined = 4
	typeUnused      = 5
	typeByte        = 6
)

// maxVocabulary bounds the number of tokens; the largest in use have 262,144.
const maxVocabulary = 1 << 20

// Tokenizer is one model's vocabulary. It may be used by many goroutines.
type Tokenizer struct {
	pieces []string // as in the file
	types  []int32
	ids    map[string]int32
	ends   map[int32]bool

	bos, eos int32 // -1 where there is none
	addBOS   bool
	addEOS   bool
	special  []special // texts that are tokens by themselves, longest first
	encoder  encoder
	bytes    [][]byte // what each token stands for
}

// encoder turns text without special tokens into tokens.
type encoder interface {
	encode(dst []int32, text string) []int32
	piece(id int32) []byte
}

type special struct {
	text    string
	id      int32
	control bool
}

// New reads the vocabulary of a model file.
func New(md Metadata) (*Tokenizer, error) {
	if _, err := Check(md); err != nil {
		return nil, err
	}
	t := &Tokenizer{bos: -1, eos: -1}
	model, _ := md.String("tokenizer.ggml.model")
	t.pieces, _ = md.Strings("tokenizer.ggml.tokens")
	types, _ := md.Ints("tokenizer.ggml.token_type")
	t.types = slices.Clone(types) // some change below
	t.ids = make(map[string]int32, len(t.pieces))
	for i, p := range t.pieces {
		if _, twice := t.ids[p]; !twice {
			t.ids[p] = int32(i) //nolint:gosec // below maxVocabulary
		}
	}
	if model == "llama" {
		t.encoder = newSentencePiece(t, md)
	} else {
		t.encoder = newBytePair(t, md)
	}
	t.readSpecial(model, md)
	t.bytes = make([][]byte, len(t.pieces))
	for i := range t.pieces {
		t.bytes[i] = t.render(int32(i)) //nolint:gosec // below maxVocabulary
	}
	return t, nil
}

// readSpecial finds the tokens that mean something beside their text.
func (t *Tokenizer) readSpecial(model string, md Metadata) {
	pre, _ := md.String("tokenizer.ggml.pre")
	t.addBOS = model == "llama" || pre == "llama-bpe" // what files that do not say mean (llama-vocab.cpp)
	for _, s := range []struct {
		key string
		id  *int32
	}{{"bos", &t.bos}, {"eos", &t.eos}} {
		if id, ok := md.Uint("tokenizer.ggml." + s.key + "_token_id"); ok {
			*s.id = int32(id) //nolint:gosec // below maxVocabulary
		}
	}
	if add, ok := md.Bool("tokenizer.ggml.add_bos_token"); ok {
		t.addBOS = add
	}
	if add, ok := md.Bool("tokenizer.ggml.add_eos_token"); ok {
		t.addEOS = add
	}
	t.markEnds()
	for i, p := range t.pieces {
		kind := t.kind(int32(i)) //nolint:gosec // below maxVocabulary
		if p != "" && (kind == typeControl || kind == typeUserDefined || kind == typeUnknown) {
			t.special = append(t.special, special{p, int32(i), kind != typeUserDefined}) //nolint:gosec // below maxVocabulary
		}
	}
	slices.SortStableFunc(t.special, func(a, b special) int { return len(b.text) - len(a.text) })
	t.findEnds(md)
}

// endTexts are tokens that end an answer, whatever the file calls its EOS.
var endTexts = []string{
	"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<EOT>", "_<EOT>",
	"<|eom_id|>", "<|end_of_text|>", "</s>", "<|return|>",
}

// markEnds makes control tokens of those that look like ends, as llama.cpp does:
// some vocabularies have them as ordinary pieces.
func (t *Tokenizer) markEnds() {
	for _, text := range endTexts {
		if id, ok := t.ids[text]; ok && t.types != nil && t.types[id] == typeNormal {
			t.types[id] = typeControl
		}
	}
}

func (t *Tokenizer) findEnds(md Metadata) {
	t.ends = map[int32]bool{}
	if t.eos >= 0 {
		t.ends[t.eos] = true
	}
	for _, key := range []string{"eot", "eom"} {
		if id, ok := md.Uint("tokenizer.ggml." + key + "_token_id"); ok && id < uint64(len(t.pieces)) {
			t.ends[int32(id)] = true //nolint:gosec // below maxVocabulary
		}
	}
	for _, text := range endTexts {
		if id, ok := t.ids[text]; ok && t.kind(id) == typeControl {
			t.ends[id] = true
		}
	}
}

func (t *Tokenizer) kind(id int32) int32 {
	if t.types == nil {
		return typeNormal
	}
	return t.types[id]
}

// Size is how many tokens there are.
func (t *Tokenizer) Size() int { return len(t.pieces) }

// BOS is the token that begins a text; ok is false where there is none.
func (t *Tokenizer) BOS() (id int32, ok bool) { return t.bos, t.bos >= 0 }

// EOS is the token that ends a text; ok is false where there is none.
func (t *Tokenizer) EOS() (id int32, ok bool) { return t.eos, t.eos >= 0 }

// IsEnd reports whether the token ends an answer.
func (t *Tokenizer) IsEnd(id int32) bool { return t.ends[id] }

// Text is the token as the file spells it, "" for -1.
func (t *Tokenizer) Text(id int32) string {
	if id < 0 || int(id) >= len(t.pieces) {
		return ""
	}
	return t.pieces[id]
}

// Piece is what the token adds to a text: bytes that need not be whole
// characters. Control tokens add nothing.
func (t *Tokenizer) Piece(id int32) []byte {
	if id < 0 || int(id) >= len(t.bytes) {
		return nil
	}
	return t.bytes[id]
}

func (t *Tokenizer) render(id int32) []byte {
	switch t.kind(id) {
	case typeControl, typeUnused:
		return nil
	case typeUserDefined:
		return []byte(t.pieces[id])
	}
	return t.encoder.piece(id)
}

// Encode turns text into tokens. addSpecial puts the tokens around it that the
// model wants at the ends of a text (BOS, EOS); parseSpecial takes the texts of
// control tokens, as <|im_start|>, for these tokens, which text of a stranger
// must not be.
func (t *Tokenizer) Encode(text string, addSpecial, parseSpecial bool) []int32 {
	var out []int32
	if addSpecial && t.addBOS && t.bos >= 0 {
		out = append(out, t.bos)
	}
	for text != "" {
		at, s := t.nextSpecial(text, parseSpecial)
		if at > 0 {
			out = t.encoder.encode(out, text[:at])
		}
		if s == nil {
			break
		}
		out = append(out, s.id)
		text = text[at+len(s.text):]
	}
	if addSpecial && t.addEOS && t.eos >= 0 {
		out = append(out, t.eos)
	}
	return out
}

// nextSpecial finds the first special token in text; without one it returns
// the text's length and nil.
func (t *Tokenizer) nextSpecial(text string, parseSpecial bool) (int, *special) {
	best, found := len(text), (*special)(nil)
	for i := range t.special {
		s := &t.special[i]
		if s.control && !parseSpecial {
			continue
		}
		if at := strings.Index(text[:min(len(text), best+len(s.text))], s.text); at >= 0 && at < best {
			best, found = at, s
		}
	}
	return best, found
}
