package gguf_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/testdata"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func small() *gguftest.Builder {
	var b gguftest.Builder
	b.Set("general.architecture", "llama")
	b.Set("a.uint", uint32(7))
	b.Set("a.int", int32(-7))
	b.Set("a.float", float32(0.5))
	b.Set("a.bool", true)
	b.Set("a.texts", []string{"x", "", "é"})
	b.Set("a.floats", []float32{1, 2.5})
	b.Set("a.ints", []int32{1, -2})
	b.AddF32("t", []float32{1, 2, 3, 4, 5, 6}, 3, 2)
	return &b
}

func TestReadingBackWhatWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, small().Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	texts, _ := f.Strings("a.texts")
	floats, _ := f.Floats("a.floats")
	ints, _ := f.Ints("a.ints")
	u, _ := f.Uint("a.uint")
	fl, _ := f.Float("a.float")
	b, _ := f.Bool("a.bool")
	if diff := cmp.Diff([]any{"llama", []string{"x", "", "é"}, []float32{1, 2.5}, []int32{1, -2}, uint64(7), 0.5, true},
		[]any{f.Architecture(), texts, floats, ints, u, fl, b}); diff != "" {
		t.Error(diff)
	}
	if _, ok := f.Uint("a.int"); ok {
		t.Error("a negative number was taken for one that is not")
	}
	tensor, ok := f.Tensor("t")
	if !ok || tensor.Elements() != 6 || f.Parameters() != 6 || f.Quantization() != "F32" {
		t.Fatalf("tensor %+v", tensor)
	}
	if got := binary.LittleEndian.Uint32(f.Data(tensor)[20:]); got != 0x40c00000 {
		t.Errorf("the last value is 0x%x, want 6", got)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestHostileFilesAreErrorsThatNameWhatIsWrong(t *testing.T) {
	le := binary.LittleEndian
	good := small().Bytes()
	change := func(f func(b []byte) []byte) []byte { return f(append([]byte(nil), good...)) }
	at := func(text string) int { return strings.Index(string(good), text) }
	set64 := func(offset int, v uint64) []byte {
		return change(func(b []byte) []byte { le.PutUint64(b[offset:], v); return b })
	}
	set32 := func(offset int, v uint32) []byte {
		return change(func(b []byte) []byte { le.PutUint32(b[offset:], v); return b })
	}
	tensor := at("\x01\x00\x00\x00\x00\x00\x00\x00t\x02\x00\x00\x00") + 9
	for _, tt := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "the head"},
		{"no magic", []byte("<!doctype html><html>"), "begins with"},
		{"version 1", set32(4, 1), "version 1"},
		{"big-endian", set32(4, 0x03000000), "big-endian"},
		{"a version of the future", set32(4, 4), "version 4; 2 and 3 are known"},
		{"a million entries", set64(16, 1_000_000), "1000000 metadata entries"},
		{"2^63 tensors", set64(8, 1<<63), "tensors"},
		{"a key longer than the file", set64(24, 1<<40), "metadata entry 1"},
		{"a text longer than the file", set64(at("llama")-8, 1<<62), "general.architecture"},
		{"an unknown value type", set32(at("a.uint")+6, 99), "a.uint"},
		{"a list of lists", set32(at("a.floats")+12, 9), "a.floats"},
		{"a list of 2^61 numbers", set64(at("a.floats")+16, 1<<61), "a.floats"},
		{"a list of 2^40 texts", set64(at("a.texts")+15, 1<<40), "a.texts"},
		{"nine dimensions", set32(tensor, 9), `tensor "t"`},
		{"no dimensions", set32(tensor, 0), `tensor "t"`},
		{"a shape that overflows", set64(tensor+4, 1<<62), `tensor "t"`},
		{"a dimension of zero", set64(tensor+12, 0), `tensor "t"`},
		{"an unknown tensor type", set32(tensor+20, 77), "type 77"},
		{"data beyond the end", set64(tensor+24, 1<<40), "beyond the file's end"},
		{"data out of line", set64(tensor+24, 3), "alignment"},
		{"data cut off", good[:len(good)-32], "beyond the file's end"},
		{"a key twice", change(func(b []byte) []byte { copy(b[at("a.bool"):], "a.uint"); return b }), "twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := gguf.Parse(tt.data)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
	for n := range good[:len(good)-64] {
		if _, err := gguf.Parse(good[:n]); err == nil {
			t.Fatalf("the first %d bytes of %d were accepted", n, len(good))
		}
	}
}

func TestOfAFilesBeginningIsKnownWhatItHolds(t *testing.T) {
	whole := small().Bytes()
	at := func(text string) int { return strings.Index(string(whole), text) }
	for _, c := range []struct {
		name   string
		length int
		uint   bool
		texts  int
		floats int
	}{
		{"all of it", len(whole), true, 3, 2},
		{"no weights", len(whole) - 24, true, 3, 2},
		{"no tensors", at("t\x02\x00\x00\x00"), true, 3, 2},
		{"part of a list of numbers", at("a.floats") + 8 + 4 + 12 + 4, true, 3, 2},
		{"part of a list of texts", at("a.texts") + 7 + 4 + 12 + 10, true, 3, 0},
		{"no more than the length of a list", at("a.texts") + 7 + 4 + 12, true, 3, 0},
		{"part of a key", at("a.texts") + 3, true, 0, 0},
		{"part of a number", at("a.uint") + 6 + 4 + 2, false, 0, 0},
	} {
		f, err := gguf.ParseHead(whole[:c.length])
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		_, ok := f.Uint("a.uint")
		texts, _ := f.Len("a.texts")
		floats, _ := f.Len("a.floats")
		if f.Architecture() != "llama" || ok != c.uint || texts != c.texts || floats != c.floats || len(f.Tensors()) > 0 {
			t.Errorf("%s: %t, %d texts, %d numbers of %q", c.name, ok, texts, floats, f.Keys())
		}
	}
	if _, err := gguf.ParseHead([]byte("<!doctype html>")); err == nil {
		t.Error("a page is taken for a file's beginning")
	}
}

func TestAlignmentMustBeAPowerOfTwo(t *testing.T) {
	for value, ok := range map[uint32]bool{0: false, 31: false, 32: true, 1 << 20: false} {
		b := small()
		b.Set("general.alignment", value)
		if _, err := gguf.Parse(b.Bytes()); (err == nil) != ok {
			t.Errorf("alignment %d: %v", value, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(small().Bytes())
	f.Add(testdata.Tinybee()[:4096])
	f.Add([]byte("GGUF\x03\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		file, err := gguf.Parse(data)
		head, failed := gguf.ParseHead(data)
		runtime.ReadMemStats(&after)
		if err == nil && (failed != nil || len(head.Keys()) != len(file.Keys())) {
			t.Errorf("as a beginning it is %v", failed)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 64*uint64(len(data))+1<<20 {
			t.Errorf("%d bytes made %d bytes of memory", len(data), grown)
		}
		if err != nil {
			return
		}
		for _, tensor := range file.Tensors() {
			if uint64(len(file.Data(tensor))) != tensor.Size {
				t.Errorf("tensor %q has other data than it says", tensor.Name)
			}
		}
	})
}
