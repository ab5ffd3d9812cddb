package builtin_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/inference/openai"
	"rbee.dev/rbee/inference/template"
	"rbee.dev/rbee/inference/tokenizer"
	"rbee.dev/rbee/inference/tokenizer/vocabtest"
)

// published is the vocabularies of testdata/vocab, each with an architecture
// that has it.
var published = []struct{ name, pre, architecture string }{
	{"llama2", "", "llama"},
	{"llama3_2", "llama-bpe", "llama"},
	{"qwen2_5", "qwen2", "qwen2"},
	{"qwen3", "qwen2", "qwen3"},
	{"gpt2", "gpt-2", "llama"},
	{"gpt2", "smollm", "llama"}, // SmolLM's own is not to be had; its way to split is
	{"gpt2", "default", "llama"},
}

// written is texts of many kinds.
func written() []string {
	list := []string{
		"", " ", "\n", "a", "Once upon a time, there was a bee.", "it's we'll I'D you'RE they've 'tis", "HELLO World hELLO",
		"1 12 123 1234 12345 3.14159 1,000,000 0x7fFF", "  two  spaces   three\n\n\n and   lines\r\n\t tab\t\ttabs ", "trailing   ",
		"naïve café — “quotes” … ¿qué? ¡sí! Übergröße ß", "日本語のテキストです。 中文字符，标点。 한국어 문장.", "Привет, мир! Ελληνικά עברית العربية हिन्दी ไทย",
		"🐝🐝 👩‍👩‍👧‍👦 🇩🇪 e\u0301 \u200b\u200d\ufeff", "func main() {\n\tfmt.Println(\"hi\") // 2 != 3\n}\n", "if (a<b&&c>=d) { return !x[i]++; } /* ~`|^_$ */",
		"<|endoftext|> </s> <s> <unk> <|im_start|>user\nhi<|im_end|> <|begin_of_text|><|eot_id|> [INST]", "a\u00a0b\u2003c\u3000d", "٣٤ ½ Ⅷ ²",
		"https://example.org/a?b=c&d=%20#e", strings.Repeat("a", 300), strings.Repeat(" ", 70) + "x", strings.Repeat("ab ", 80), "\x00\x01\x7f", "<0x0A> ▁ Ġ Ċ",
		"We'Ve \u2019s don\u2019t", "A\r\nB\rC\u2028D", "x\n \n  \n", "!!!??? ...,,,", "tokenization antidisestablishmentarianism",
	}
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	alphabet := []rune("aábcdeEsStT'  \n\t0123٣.,!?-_()日本🐝é\u0301ß\u00a0")
	for range 60 {
		var b strings.Builder
		for range r.IntN(40) {
			b.WriteRune(alphabet[r.IntN(len(alphabet))])
		}
		list = append(list, b.String())
	}
	return list
}

func TestRealVocabulariesAreReadAsLlamaCppDoes(t *testing.T) {
	for _, v := range published {
		t.Run(v.name+" "+v.pre, func(t *testing.T) {
			model := gguftest.Model{
				Architecture: v.architecture, Type: gguf.F32, Layers: 1, Width: 64, FFN: 64, Seed: 5, Vocabulary: vocabtest.Load(t, v.name, v.pre),
			}.Bytes()
			server := startLlamaServer(t, model, "-c", "512", "--cache-type-k", "f32", "--cache-type-v", "f32", "-fa", "off", "--jinja")
			compareTokens(t, server, model, written())
			compareTexts(t, server, model, written())
			comparePrompts(t, server, model)

			const prompt = "Once upon a time there was 1 bee"
			want := server.greedy(t, prompt, 24)
			var got bytes.Buffer
			if _, err := openBytes(t, model).Generate(t.Context(), openai.Request{Prompt: prompt, MaxTokens: 24},
				func(text string) error { got.WriteString(text); return nil }); err != nil {
				t.Fatal(err)
			}
			if ours, theirs := oneReplacement(got.String()), oneReplacement(want); ours != theirs {
				t.Errorf("ours:      %q\nllama.cpp: %q", ours, theirs)
			}
		})
	}
}

// compareTexts holds the text of tokens against llama-server's.
func compareTexts(t *testing.T, server llamaServer, model []byte, texts []string) {
	t.Helper()
	f, err := gguf.Parse(model)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.New(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		tokens := append([]int32{}, tok.Encode(text, false, false)...)
		var want struct{ Content string }
		server.post(t, "/detokenize", map[string]any{"tokens": tokens}, &want)
		decoder := tok.NewDecoder()
		var got strings.Builder
		for _, id := range tokens {
			got.WriteString(decoder.Next(id))
		}
		got.WriteString(decoder.Flush())
		if got.String() != want.Content && oneReplacement(got.String()) != oneReplacement(want.Content) {
			t.Errorf("%q: tokens %v are %q, llama.cpp says %q", text, tokens, got.String(), want.Content)
		}
	}
}

// conversations is what chat templates are tried with.
var conversations = map[string][]template.Message{
	"one turn":      {{Role: "user", Content: "Hello, bee!"}},
	"with a system": {{Role: "system", Content: "You are a bee."}, {Role: "user", Content: "Who are you?"}},
	"several turns": {
		{Role: "system", Content: "Be brief."},
		{Role: "user", Content: "Hi"},
		{Role: "assistant", Content: "  Hello.\n"},
		{Role: "user", Content: "A \"quoted\" <b>word</b> & {{ braces }}"},
	},
	"thinking": {
		{Role: "user", Content: "1+1?"}, {Role: "assistant", Content: "<think>\nOne and one.\n</think>\n\n2"}, {Role: "user", Content: "And 2+2?"},
	},
}

// comparePrompts holds the prompts that the file's own template makes against
// llama-server's.
func comparePrompts(t *testing.T, server llamaServer, model []byte) {
	t.Helper()
	f, err := gguf.Parse(model)
	if err != nil {
		t.Fatal(err)
	}
	source, ok := f.String("tokenizer.chat_template")
	if !ok {
		return
	}
	tok, err := tokenizer.New(f)
	if err != nil {
		t.Fatal(err)
	}
	text := func(id int32, ok bool) string {
		if !ok {
			return ""
		}
		return tok.Text(id)
	}
	ours, err := template.Parse(source, text(tok.BOS()), text(tok.EOS()))
	if err != nil {
		t.Fatal(err)
	}
	for name, messages := range conversations {
		list := make([]map[string]string, len(messages))
		for i, m := range messages {
			list[i] = map[string]string{"role": m.Role, "content": m.Content}
		}
		var want struct{ Prompt string }
		server.post(t, "/apply-template", map[string]any{"messages": list}, &want)
		got, err := ours.Render(t.Context(), messages, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		// llama.cpp leaves the token that begins every text to the tokenizer.
		bos := text(tok.BOS())
		if strings.TrimPrefix(got, bos) != strings.TrimPrefix(want.Prompt, bos) {
			t.Errorf("%s:\nours:      %q\nllama.cpp: %q", name, got, want.Prompt)
		}
	}
}
