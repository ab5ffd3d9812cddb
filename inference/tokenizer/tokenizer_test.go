package tokenizer_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/tokenizer"
	"rbee.dev/rbee/testdata"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tinybee(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	f, err := gguf.Parse(testdata.Tinybee())
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.New(f)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func decode(tok *tokenizer.Tokenizer, ids []int32) string {
	var b strings.Builder
	d := tok.NewDecoder()
	for _, id := range ids {
		b.WriteString(d.Next(id))
	}
	return b.String() + d.Flush()
}

func TestSentencePieceGivesTheTextBack(t *testing.T) {
	tok := tinybee(t)
	for _, text := range []string{
		"Once upon a time", " two  spaces ", "naïve café – ok", "日本語 🐝", "line\nbreak\ttab", "\xff\xfe broken", strings.Repeat("bee ", 3000),
	} {
		ids := tok.Encode(text, true, false)
		want := " " + strings.ToValidUTF8(text, "")
		got := strings.ReplaceAll(decode(tok, ids), "\uFFFD", "")
		if got != want {
			t.Errorf("%.40q came back as %.40q", text, got)
		}
		if bos, _ := tok.BOS(); ids[0] != bos {
			t.Errorf("%.40q does not begin with BOS", text)
		}
	}
}

func TestSpecialTokensAreParsedOnlyWhenAsked(t *testing.T) {
	tok := tinybee(t)
	eos, _ := tok.EOS()
	if ids := tok.Encode("a</s>b", false, true); !slices.Contains(ids, eos) {
		t.Errorf("</s> was not taken for the end token: %v", ids)
	}
	if ids := tok.Encode("a</s>b", false, false); slices.Contains(ids, eos) {
		t.Errorf("</s> in plain text became the end token: %v", ids)
	}
	if !tok.IsEnd(eos) || len(tok.Piece(eos)) != 0 {
		t.Errorf("the end token ends nothing or shows as %q", tok.Piece(eos))
	}
}

// metadata is a vocabulary written by a test.
type metadata map[string]any

func get[T any](m metadata, key string) (T, bool) { v, ok := m[key].(T); return v, ok }

func (m metadata) String(k string) (string, bool)    { return get[string](m, k) }
func (m metadata) Uint(k string) (uint64, bool)      { return get[uint64](m, k) }
func (m metadata) Bool(k string) (bool, bool)        { return get[bool](m, k) }
func (m metadata) Strings(k string) ([]string, bool) { return get[[]string](m, k) }
func (m metadata) Floats(k string) ([]float32, bool) { return get[[]float32](m, k) }
func (m metadata) Ints(k string) ([]int32, bool)     { return get[[]int32](m, k) }

// bytePairs is a vocabulary of all bytes and the merges, in which each piece
// of the pre-tokenizer's can be seen: "|" stands between tokens.
func bytePairs(pre string, merges ...string) metadata {
	var tokens []string
	next := rune(256)
	for b := range rune(256) {
		if b >= '!' && b <= '~' || b >= '¡' && b <= '¬' || b >= '®' && b <= 'ÿ' {
			tokens = append(tokens, string(b))
		} else {
			tokens = append(tokens, string(next))
			next++
		}
	}
	for _, m := range merges {
		tokens = append(tokens, strings.Replace(m, " ", "", 1))
	}
	return metadata{"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre, "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": merges}
}

func TestByteLevelBPEMergesByRankAndNotAcrossPieces(t *testing.T) {
	tok, err := tokenizer.New(bytePairs("gpt-2", "h e", "l l", "he ll", "hell o", "Ġ w", "o Ġ"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, id := range tok.Encode("hello w 1x", false, false) {
		got = append(got, string(tok.Piece(id)))
	}
	// "o " would be a merge, but the pre-tokenizer puts the space with the w.
	if diff := cmp.Diff([]string{"hello", " w", " ", "1", "x"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheDefaultSplitTakesDigitsByThreesAndSpacesApart(t *testing.T) {
	tok, err := tokenizer.New(bytePairs("default", "1 2", "12 3", "3 4", "Ġ Ġ", "Ġ 1", "4 5"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][]string{
		"12345":       {"123", "45"},
		"123412":      {"123", "4", "12"},
		"  12":        {" ", " ", "12"},
		"a, 1":        {"a", ",", " ", "1"},
		"\u066312345": {"\xd9", "\xa3", "123", "45"}, // three digits of ASCII, wherever they begin
	} {
		var got []string
		for _, id := range tok.Encode(text, false, false) {
			got = append(got, string(tok.Piece(id)))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestWhatAFileDoesNotSayIsAsInLlamaCpp(t *testing.T) {
	for pre, want := range map[string]bool{"llama-bpe": true, "qwen2": false, "gpt-2": false} {
		md := bytePairs(pre)
		pieces := append(slices.Clone(md["tokenizer.ggml.tokens"].([]string)), "<|begin|>", "</s>")
		types := slices.Repeat([]int32{1}, len(pieces))
		md["tokenizer.ggml.tokens"], md["tokenizer.ggml.token_type"] = pieces, types
		md["tokenizer.ggml.bos_token_id"] = uint64(len(pieces) - 2)
		delete(md, "tokenizer.ggml.add_bos_token")
		tok, err := tokenizer.New(md)
		if err != nil {
			t.Fatal(err)
		}
		got := tok.Encode("a", true, true)
		if begins := int(got[0]) == len(pieces)-2; begins != want {
			t.Errorf("%s: a text begins with BOS: %v", pre, begins)
		}
		if got := tok.Encode("</s>", false, true); len(got) != 1 || !tok.IsEnd(got[0]) {
			t.Errorf("%s: a piece that looks like an end is %v", pre, got)
		}
		if types[len(pieces)-1] != 1 {
			t.Error("the file's types were changed")
		}
	}
}

func TestByteLevelBPEGivesTheTextBack(t *testing.T) {
	for _, pre := range []string{"default", "gpt-2", "llama-bpe", "smollm", "qwen2"} {
		tok, err := tokenizer.New(bytePairs(pre, "a b"))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"it's 12345 o'clock!!\r\n\r\n  x", "日本語 🐝 naïve", "\x80\xff", "   ", "a'LL b'd", "…\u00a0x٣"} {
			if got := decode(tok, tok.Encode(text, true, true)); got != string([]rune(text)) {
				t.Errorf("%s: %q came back as %q", pre, text, got)
			}
		}
	}
}

func TestUnknownVocabulariesAreRefusedByName(t *testing.T) {
	for _, tt := range []struct {
		name string
		md   metadata
		want string
	}{
		{"model", metadata{"tokenizer.ggml.model": "t5", "tokenizer.ggml.tokens": []string{"a"}}, `"t5"`},
		{"pre-tokenizer", bytePairs("tekken"), `"tekken"`},
		{"no tokens", metadata{"tokenizer.ggml.model": "llama"}, "tokenizer.ggml.tokens"},
		{"scores missing", metadata{"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": []string{"a"}}, "0 scores"},
		{"end token beyond the vocabulary", metadata{"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": []string{"a"}, "tokenizer.ggml.eos_token_id": uint64(7)}, "eos"},
		{"a merge without a space", bytePairs("gpt-2", "ab"), "merge 0"},
	} {
		if _, err := tokenizer.New(tt.md); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %s", tt.name, err, tt.want)
		}
	}
}

func TestDecoderHoldsBackHalfCharacters(t *testing.T) {
	tok, err := tokenizer.New(bytePairs("gpt-2"))
	if err != nil {
		t.Fatal(err)
	}
	d := tok.NewDecoder()
	var got []string
	for _, id := range tok.Encode("é🐝", false, false) {
		got = append(got, d.Next(id))
	}
	if diff := cmp.Diff([]string{"", "é", "", "", "", "🐝"}, got); diff != "" {
		t.Error(diff)
	}
	d.Next(tok.Encode("é", false, false)[0])
	if rest := d.Flush(); rest != "\uFFFD" {
		t.Errorf("half a character at the end is %q, want U+FFFD", rest)
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("hello world")
	f.Add("\xff'll  \r\n 12")
	toks := []*tokenizer.Tokenizer{tinybee(f)}
	for _, pre := range []string{"default", "gpt-2", "llama-bpe", "smollm", "qwen2"} {
		tok, err := tokenizer.New(bytePairs(pre, "a b"))
		if err != nil {
			f.Fatal(err)
		}
		toks = append(toks, tok)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for i, tok := range toks {
			var back []byte
			for _, id := range tok.Encode(text, false, false) {
				back = append(back, tok.Piece(id)...)
			}
			if i > 0 && string(back) != text {
				t.Errorf("tokenizer %d: %q came back as %q", i, text, back)
			}
		}
	})
}
