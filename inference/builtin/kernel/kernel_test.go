package kernel

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"rbee.dev/rbee/inference/gguf"
)

// The types that matrices may have.
var types = []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q8_0, gguf.Q4_0, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K}

// eachLevel runs a test at each level that the processor has.
func eachLevel(t *testing.T, test func(t *testing.T, k *Kernels)) {
	for _, l := range levels() {
		t.Run(l.name, func(t *testing.T) { test(t, newKernels(l)) })
	}
}

// randomRows returns valid rows of a type: random values, small scales.
func randomRows(r *rand.Rand, t gguf.Type, rows, cols int) []byte {
	values, size, _ := t.Block()
	data := make([]byte, rows*cols/int(values)*int(size))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	half := func(b []byte) { binary.LittleEndian.PutUint16(b, floatToHalf(r.Float32()*0.1)) }
	for at := 0; at < len(data); at += int(size) {
		block := data[at : at+int(size)]
		switch t {
		case gguf.F32:
			binary.LittleEndian.PutUint32(block, math.Float32bits(r.Float32()-0.5))
		case gguf.F16:
			half(block)
		case gguf.BF16:
			binary.LittleEndian.PutUint16(block, floatToBrain(r.Float32()-0.5))
		case gguf.Q8_0, gguf.Q4_0:
			half(block)
		case gguf.Q4_K, gguf.Q5_K:
			half(block)
			half(block[2:])
		case gguf.Q6_K:
			half(block[208:])
		}
	}
	return data
}

func randomVectors(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = r.Float32()*4 - 2
	}
	return x
}

func multiply(t *testing.T, k *Kernels, kind gguf.Type, data []byte, x []float32, rows, cols, n int) []float32 {
	t.Helper()
	m, err := k.Matrix(kind, rows, cols, data)
	if err != nil {
		t.Fatal(err)
	}
	var a Activations
	k.Prepare(&a, kind, x, n, cols)
	out := make([]float32, n*rows)
	m.MulRange(&a, out, rows, 0, rows)
	return out
}

func near(a, b, scale float32) bool {
	return math.Abs(float64(a-b)) <= 1e-4*float64(scale)+1e-5
}

func TestProductsAreThoseOfTheDequantisedRows(t *testing.T) {
	const rows, cols, n = 7, 512, 5
	eachLevel(t, func(t *testing.T, k *Kernels) {
		for _, kind := range types {
			r := rand.New(rand.NewPCG(1, 2))
			data, x := randomRows(r, kind, rows, cols), randomVectors(r, n*cols)
			got := multiply(t, k, kind, data, x, rows, cols, n)
			m, _ := k.Matrix(kind, rows, cols, data)
			row := make([]float32, cols)
			for i := range rows {
				m.Row(row, i)
				for j := range n {
					var want, size float64
					for c, w := range row {
						want += float64(w) * float64(x[j*cols+c])
						size += math.Abs(float64(w) * float64(x[j*cols+c]))
					}
					// Activations lose up to 1/254 each when quantised; errors mostly cancel.
					if diff := math.Abs(float64(got[j*rows+i]) - want); diff > 0.004*size {
						t.Errorf("%s, row %d, vector %d: got %g, want %g ± %g", kind, i, j, got[j*rows+i], want, 0.004*size)
					}
				}
			}
		}
	})
}

func TestAssemblyAgreesWithThePortableCode(t *testing.T) {
	shapes := [][3]int{ // rows, columns, vectors
		{1, 256, 1},
		{4, 256, 4},
		{9, 1024, 6},
		{3, 768, 13},
		{37, 1280, 3},
		{5, 2304, 2},
		{6, 288, 5},
		{6, 40, 5},
		{6, 36, 5},
		{6, 40, 1},
		{6, 36, 1}, // not what kernels like
	}
	eachLevel(t, func(t *testing.T, k *Kernels) {
		for _, kind := range types {
			for _, shape := range shapes {
				rows, cols, n := shape[0], shape[1], shape[2]
				if values, _, _ := kind.Block(); uint64(cols)%values != 0 {
					continue
				}
				r := rand.New(rand.NewPCG(3, uint64(cols)))
				data, x := randomRows(r, kind, rows, cols), randomVectors(r, n*cols)
				got := multiply(t, k, kind, data, x, rows, cols, n)
				want := multiply(t, newKernels(portable()), kind, data, x, rows, cols, n)
				for i := range got {
					if k.table[kind].activation == asQ8K && got[i] != want[i] {
						t.Fatalf("%s %v: value %d is %g, portable %g: not the same", kind, shape, i, got[i], want[i])
					}
					if !near(got[i], want[i], float32(cols)) {
						t.Fatalf("%s %v: value %d is %g, portable %g", kind, shape, i, got[i], want[i])
					}
				}
			}
		}
	})
}

func TestAProductDoesNotDependOnItsCompany(t *testing.T) {
	const rows, n = 11, 9
	eachLevel(t, func(t *testing.T, k *Kernels) {
		for _, kind := range types {
			for _, cols := range []int{512, 1280} {
				r := rand.New(rand.NewPCG(5, 6))
				data, x := randomRows(r, kind, rows, cols), randomVectors(r, n*cols)
				together := multiply(t, k, kind, data, x, rows, cols, n)
				m, _ := k.Matrix(kind, rows, cols, data)
				for j := range n {
					var a Activations
					k.Prepare(&a, kind, x[j*cols:], 1, cols)
					alone := make([]float32, rows)
					m.MulRange(&a, alone, rows, 0, 3) // and not on how rows are divided
					m.MulRange(&a, alone, rows, 3, rows)
					for i := range rows {
						if math.Float32bits(alone[i]) != math.Float32bits(together[j*rows+i]) {
							t.Fatalf("%s, row %d, vector %d: alone %g, together %g", kind, i, j, alone[i], together[j*rows+i])
						}
					}
				}
			}
		}
	})
}

func TestTheLargestQuantisedValuesDoNotOverflow(t *testing.T) {
	const cols, n = 512, 5
	x := make([]float32, n*cols)
	for i := range x {
		x[i] = float32(3 - 6*(i/cols%2)) // all the same, of either sign
	}
	eachLevel(t, func(t *testing.T, k *Kernels) {
		for _, kind := range types[3:] {
			for _, fill := range []byte{0x00, 0x80, 0x81, 0x7f, 0xff} {
				data := extremeRow(kind, cols, fill)
				got := multiply(t, k, kind, data, x, 1, cols, n)
				want := multiply(t, newKernels(portable()), kind, data, x, 1, cols, n)
				for j := range got {
					if !near(got[j], want[j], float32(math.Abs(float64(want[j])))) {
						t.Errorf("%s, bytes 0x%x: got %g, want %g", kind, fill, got[j], want[j])
					}
				}
			}
		}
	})
}

// extremeRow is a row of one byte, but for the half-precision scales.
func extremeRow(kind gguf.Type, cols int, fill byte) []byte {
	scales := map[gguf.Type][]int{gguf.Q8_0: {0}, gguf.Q4_0: {0}, gguf.Q4_K: {0, 2}, gguf.Q5_K: {0, 2}, gguf.Q6_K: {208}}
	values, size, _ := kind.Block()
	data := bytes.Repeat([]byte{fill}, cols/int(values)*int(size))
	for at := 0; at < len(data); at += int(size) {
		block := data[at : at+int(size)]
		for _, half := range scales[kind] {
			binary.LittleEndian.PutUint16(block[half:], floatToHalf(0.01))
		}
	}
	return data
}

func TestHalfPrecisionRoundTrips(t *testing.T) {
	for h := range 1 << 16 {
		f := halfToFloat(uint16(h))
		if f != f {
			continue
		}
		if back := floatToHalf(f); back != uint16(h) {
			t.Fatalf("0x%04x became %g and then 0x%04x", h, f, back)
		}
	}
	for _, tt := range []struct {
		f    float32
		want uint16
	}{{1e9, 0x7c00}, {-1e9, 0xfc00}, {65519, 0x7bff}, {65520, 0x7c00}, {1e-9, 0}, {2.9e-8, 0}, {3e-8, 1}, {1.0 + 1.0/2048, 0x3c00}, {1.0 + 3.0/2048, 0x3c02}} {
		if got := floatToHalf(tt.f); got != tt.want {
			t.Errorf("%g: got 0x%04x, want 0x%04x", tt.f, got, tt.want)
		}
	}
}

func TestVectorOperations(t *testing.T) {
	eachLevel(t, func(t *testing.T, k *Kernels) {
		r := rand.New(rand.NewPCG(7, 8))
		for _, n := range []int{0, 1, 7, 8, 16, 17, 32, 64, 129} {
			a, b := randomVectors(r, n), randomVectors(r, n)
			if got, want := k.Dot(a, b), dotFloats(a, b); !near(got, want, float32(n)) {
				t.Errorf("dot of %d: got %g, want %g", n, got, want)
			}
			want := slices.Clone(a)
			addScaled(want, b, 0.3)
			k.AddScaled(a, b, 0.3)
			for i := range a {
				if !near(a[i], want[i], 1) {
					t.Errorf("addScaled of %d: value %d is %g, want %g", n, i, a[i], want[i])
				}
			}
		}
	})
}

func TestExponentialsAreThoseOfTheMathLibrary(t *testing.T) {
	inputs := []float32{0, -0.1, 0.1, -87.29, -87.31, -1000, float32(math.Inf(-1)), 87.9}
	for x := float32(-87); x < 88; x += 0.37 {
		inputs = append(inputs, x)
	}
	eachLevel(t, func(t *testing.T, k *Kernels) {
		got := slices.Clone(inputs)
		sum := k.exps(got, 0.25)
		var want float64
		for i, x := range inputs {
			e := math.Exp(float64(x - 0.25))
			want += float64(got[i])
			if math.Abs(float64(got[i])-e) > 3e-7*e+2e-38 {
				t.Errorf("exp(%g): got %g, want %g", x-0.25, got[i], e)
			}
		}
		if math.Abs(sum-want) > 1e-12*want {
			t.Errorf("the sum is %g, want %g", sum, want)
		}
		if none := []float32{float32(math.NaN())}; !math.IsNaN(k.exps(none, 0)) {
			t.Errorf("what is no number became %v", none)
		}
	})
}

func TestSoftmaxGivesProbabilities(t *testing.T) {
	eachLevel(t, func(t *testing.T, k *Kernels) {
		for n := 1; n < 20; n++ {
			p := make([]float32, n+1)
			for i := range p {
				p[i] = float32(i)
			}
			p[n] = float32(math.Inf(-1))
			k.Softmax(p)
			var sum float32
			for i, x := range p[:n] {
				sum += x
				if i > 0 && !near(x/p[i-1], math.E, 1) {
					t.Errorf("of %d, number %d is %g times the one before", n, i, x/p[i-1])
				}
			}
			if !near(sum, 1, 1) || p[n] != 0 {
				t.Errorf("softmax of %d gave %v", n, p)
			}
		}
	})
}

func TestGatesDoNotDependOnHowTheyAreDivided(t *testing.T) {
	const n = 37
	eachLevel(t, func(t *testing.T, k *Kernels) {
		r := rand.New(rand.NewPCG(9, 9))
		g, up := randomVectors(r, n), randomVectors(r, n)
		g[0], g[1], g[2] = 200, -200, 0
		whole, parts := slices.Clone(g), slices.Clone(g)
		k.Gate(whole, up)
		for lo := 0; lo < n; lo += 5 {
			hi := min(lo+5, n)
			k.Gate(parts[lo:hi], up[lo:hi])
		}
		for i, x := range g {
			want := float64(x) / (1 + math.Exp(-float64(x))) * float64(up[i])
			if math.Abs(float64(whole[i])-want) > 1e-6*math.Abs(want)+1e-30 {
				t.Errorf("gate(%g, %g) is %g, want %g", x, up[i], whole[i], want)
			}
			if parts[i] != whole[i] {
				t.Errorf("number %d is %g in a part, %g in the whole", i, parts[i], whole[i])
			}
		}
	})
}

func TestMatrixRefusesWhatItCannotCompute(t *testing.T) {
	k := New()
	for _, tt := range []struct {
		name       string
		kind       gguf.Type
		rows, cols int
		bytes      int
	}{
		{"unknown type", gguf.Type(17), 1, 256, 74},
		{"a row that is no multiple of the block", gguf.Q8_0, 1, 40, 34},
		{"too little data", gguf.F32, 2, 8, 60},
		{"no rows", gguf.F32, 0, 8, 0},
	} {
		if _, err := k.Matrix(tt.kind, tt.rows, tt.cols, make([]byte, tt.bytes)); err == nil {
			t.Errorf("%s: accepted", tt.name)
		}
	}
}
