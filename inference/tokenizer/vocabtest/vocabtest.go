// Package vocabtest makes the tokenizer part of a GGUF file from the tokenizer
// files that models are published with, as llama.cpp's converter does, so that
// tests can use real vocabularies. It is for tests only, and fetches nothing:
// testdata/vocab/fetch.sh does.
package vocabtest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
)

// Load reads the vocabulary called name, with the pre-tokenizer pre ("" for
// SentencePiece). Without the folder of vocabularies, RBEE_VOCABS, it skips the
// test, and fails it in CI.
func Load(t testing.TB, name, pre string) *gguf.File {
	t.Helper()
	root := os.Getenv("RBEE_VOCABS")
	if root == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("CI needs RBEE_VOCABS: see testdata/vocab/fetch.sh")
		}
		t.Skip("no real vocabularies: set RBEE_VOCABS, see testdata/vocab/fetch.sh")
	}
	var p published
	p.read(t, filepath.Join(root, name))
	var b gguftest.Builder
	b.Set("general.architecture", "llama")
	if pre == "" {
		p.sentencePiece(&b)
	} else {
		p.bytePair(&b, pre)
	}
	if p.config.ChatTemplate != "" {
		b.Set("tokenizer.chat_template", p.config.ChatTemplate)
	}
	f, err := gguf.Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// published is the files tokenizer.json and tokenizer_config.json.
type published struct {
	file struct {
		Model struct {
			Vocab  map[string]int32 `json:"vocab"`
			Merges []merge          `json:"merges"`
		} `json:"model"`
		Added []struct {
			ID      int32  `json:"id"`
			Content string `json:"content"`
			Special bool   `json:"special"`
		} `json:"added_tokens"`
	}
	config struct {
		BOS          named  `json:"bos_token"`
		EOS          named  `json:"eos_token"`
		ChatTemplate string `json:"chat_template"`
	}
}

// merge is a pair, written as "a b" or as ["a","b"].
type merge string

// UnmarshalJSON reads both forms.
func (m *merge) UnmarshalJSON(text []byte) error {
	var pair []string
	if json.Unmarshal(text, &pair) == nil {
		*m = merge(strings.Join(pair, " "))
		return nil
	}
	return json.Unmarshal(text, (*string)(m))
}

// named is a token, written as its text or as an object that holds it.
type named string

// UnmarshalJSON reads both forms.
func (n *named) UnmarshalJSON(text []byte) error {
	var object struct{ Content string }
	if json.Unmarshal(text, &object) == nil {
		*n = named(object.Content)
		return nil
	}
	return json.Unmarshal(text, (*string)(n))
}

func (p *published) read(t testing.TB, dir string) {
	t.Helper()
	for name, into := range map[string]any{"tokenizer.json": &p.file, "tokenizer_config.json": &p.config} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(fmt.Errorf("%s: %w", filepath.Join(dir, name), err))
		}
	}
}

// The types of tokens (llama.h, enum llama_token_type).
const (
	normal      = 1
	unknown     = 2
	control     = 3
	userDefined = 4
	byteToken   = 6
)

// tokens is the pieces by id, and their types.
func (p *published) tokens() (pieces []string, types []int32) {
	size := int32(0)
	for _, id := range p.file.Model.Vocab {
		size = max(size, id+1)
	}
	for _, a := range p.file.Added {
		size = max(size, a.ID+1)
	}
	pieces, types = make([]string, size), slices.Repeat([]int32{normal}, int(size))
	for piece, id := range p.file.Model.Vocab {
		pieces[id] = piece
	}
	for _, a := range p.file.Added {
		pieces[a.ID], types[a.ID] = a.Content, userDefined
		if a.Special {
			types[a.ID] = control
		}
	}
	return pieces, types
}

func (p *published) common(b *gguftest.Builder, pieces []string, types []int32) {
	b.Set("tokenizer.ggml.tokens", pieces)
	b.Set("tokenizer.ggml.token_type", types)
	for key, text := range map[string]named{"bos": p.config.BOS, "eos": p.config.EOS} {
		if id := slices.Index(pieces, string(text)); text != "" && id >= 0 {
			b.Set("tokenizer.ggml."+key+"_token_id", uint32(id)) //nolint:gosec // an index
		}
	}
}

func (p *published) bytePair(b *gguftest.Builder, pre string) {
	pieces, types := p.tokens()
	p.common(b, pieces, types)
	merges := make([]string, len(p.file.Model.Merges))
	for i, m := range p.file.Model.Merges {
		merges[i] = string(m)
	}
	b.Set("tokenizer.ggml.model", "gpt2")
	b.Set("tokenizer.ggml.pre", pre)
	b.Set("tokenizer.ggml.merges", merges)
}

// sentencePiece gives each piece the score that the original model has: the
// earlier it was merged, the higher.
func (p *published) sentencePiece(b *gguftest.Builder) {
	pieces, types := p.tokens()
	scores, rank := make([]float32, len(pieces)), 0
	for i, piece := range pieces {
		switch {
		case piece == "<unk>":
			types[i] = unknown
		case len(piece) == 6 && strings.HasPrefix(piece, "<0x"):
			types[i] = byteToken
		case types[i] == normal:
			scores[i] = -float32(rank)
			rank++
		}
	}
	p.common(b, pieces, types)
	b.Set("tokenizer.ggml.model", "llama")
	b.Set("tokenizer.ggml.pre", "default")
	b.Set("tokenizer.ggml.scores", scores)
}
