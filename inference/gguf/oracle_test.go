package gguf_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	oracle "github.com/gpustack/gguf-parser-go"

	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/testdata"
)

// TestAnotherReaderSeesTheSame holds our reader against gpustack's: the same
// metadata, the same tensors at the same places.
func TestAnotherReaderSeesTheSame(t *testing.T) {
	files := map[string][]byte{"tinybee": testdata.Tinybee()}
	for seed, m := range []gguftest.Model{
		{Type: gguf.F32}, {Type: gguf.Q4_K, Architecture: "qwen3"}, {Type: gguf.Q6_K, Architecture: "qwen2", Layers: 3}, {Type: gguf.BF16, Width: 512},
	} {
		m.Seed = uint64(seed) //nolint:gosec // small
		files[fmt.Sprintf("model %d", seed)] = m.Bytes()
	}
	for seed := range uint64(20) {
		files[fmt.Sprintf("random %d", seed)] = randomFile(seed)
	}
	for name, text := range files {
		t.Run(name, func(t *testing.T) {
			ours, err := gguf.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "m.gguf")
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			theirs, err := oracle.ParseGGUFFile(path)
			if err != nil {
				t.Fatal(err)
			}
			compareMetadata(t, ours, theirs)
			compareTensors(t, text, ours, theirs)
		})
	}
}

func compareMetadata(t *testing.T, ours *gguf.File, theirs *oracle.GGUFFile) {
	t.Helper()
	if got, want := len(ours.Keys()), len(theirs.Header.MetadataKV); got != want {
		t.Errorf("%d entries, the other reader sees %d", got, want)
	}
	for _, kv := range theirs.Header.MetadataKV {
		var want, got any
		switch kv.ValueType {
		case oracle.GGUFMetadataValueTypeString:
			want, got = kv.ValueString(), first(ours.String(kv.Key))
		case oracle.GGUFMetadataValueTypeBool:
			want, got = kv.ValueBool(), first(ours.Bool(kv.Key))
		case oracle.GGUFMetadataValueTypeUint32:
			want, got = uint64(kv.ValueUint32()), first(ours.Uint(kv.Key))
		case oracle.GGUFMetadataValueTypeFloat32:
			want, got = float64(kv.ValueFloat32()), first(ours.Float(kv.Key))
		case oracle.GGUFMetadataValueTypeArray:
			want, got = arrays(kv, ours)
		default:
			continue
		}
		if fmt.Sprint(want) != fmt.Sprint(got) {
			t.Errorf("%s is %.80v, the other reader says %.80v", kv.Key, got, want)
		}
	}
}

func arrays(kv oracle.GGUFMetadataKV, ours *gguf.File) (want, got any) {
	a := kv.ValueArray()
	switch a.Type {
	case oracle.GGUFMetadataValueTypeString:
		return a.ValuesString(), first(ours.Strings(kv.Key))
	case oracle.GGUFMetadataValueTypeFloat32:
		return a.ValuesFloat32(), first(ours.Floats(kv.Key))
	case oracle.GGUFMetadataValueTypeInt32:
		return a.ValuesInt32(), first(ours.Ints(kv.Key))
	default:
		return nil, nil
	}
}

func first[T any](value T, _ bool) T { return value }

func compareTensors(t *testing.T, text []byte, ours *gguf.File, theirs *oracle.GGUFFile) {
	t.Helper()
	if got, want := len(ours.Tensors()), len(theirs.TensorInfos); got != want {
		t.Errorf("%d tensors, the other reader sees %d", got, want)
	}
	for _, want := range theirs.TensorInfos {
		got, ok := ours.Tensor(want.Name)
		if !ok {
			t.Errorf("the tensor %s is missing", want.Name)
			continue
		}
		if got.Type.String() != want.Type.String() || fmt.Sprint(got.Shape) != fmt.Sprint(want.Dimensions) {
			t.Errorf("%s is %s %v, the other reader says %s %v", want.Name, got.Type, got.Shape, want.Type, want.Dimensions)
		}
		from := uint64(theirs.TensorDataStartOffset) + want.Offset //nolint:gosec // a place in the file
		if data := text[from : from+want.Bytes()]; !bytes.Equal(data, ours.Data(got)) {
			t.Errorf("%s holds other bytes", want.Name)
		}
	}
}

// randomFile has metadata and tensors of random names, types and shapes.
func randomFile(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // a test
	var b gguftest.Builder
	b.Set("general.architecture", "llama")
	for i := range r.IntN(30) {
		key := fmt.Sprintf("k%d.%s", i, randomText(r))
		switch r.IntN(7) {
		case 0:
			b.Set(key, randomText(r))
		case 1:
			b.Set(key, r.IntN(2) == 0)
		case 2:
			b.Set(key, r.Uint32())
		case 3:
			b.Set(key, r.Float32())
		case 4:
			b.Set(key, []string{randomText(r), randomText(r)})
		case 5:
			b.Set(key, []float32{r.Float32(), -r.Float32()})
		case 6:
			b.Set(key, []int32{r.Int32(), -r.Int32()})
		}
	}
	types := []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q8_0, gguf.Q4_0, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K}
	for i := range r.IntN(12) {
		rows, cols := 1+r.IntN(5), 256*(1+r.IntN(3))
		kind := types[r.IntN(len(types))]
		b.Add(fmt.Sprintf("t%d.%s", i, randomText(r)), kind, gguftest.RandomRows(r, kind, rows, cols, 1), uint64(cols), uint64(rows)) //nolint:gosec // small
	}
	return b.Bytes()
}

func randomText(r *rand.Rand) string {
	letters := []rune("abcxyz_.é日🐝") // no spaces: the other reader trims names and drops empty texts
	text := make([]rune, 1+r.IntN(12))
	for i := range text {
		text[i] = letters[r.IntN(len(letters))]
	}
	return string(text)
}
