package sample_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"go.uber.org/goleak"

	"rbee.dev/rbee/inference/sample"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func draw(t *testing.T, p sample.Params, logits []float32, n int) map[int32]int {
	t.Helper()
	s := sample.New(p)
	counts := map[int32]int{}
	for range n {
		id, err := s.Next(logits)
		if err != nil {
			t.Fatal(err)
		}
		counts[id]++
	}
	return counts
}

// logits of the probabilities 0.5, 0.25, 0.15, 0.1, out of order.
var logits = []float32{ln(0.15), ln(0.5), ln(0.1), ln(0.25)}

func ln(p float64) float32 { return float32(math.Log(p)) }

func TestWhatIsLeftToChooseFrom(t *testing.T) {
	for _, tt := range []struct {
		name string
		p    sample.Params
		want []int32
	}{
		{"greedy", sample.Params{}, []int32{1}},
		{"all", sample.Params{Temperature: 1}, []int32{0, 1, 2, 3}},
		{"top-k 1 is greedy", sample.Params{Temperature: 1, TopK: 1}, []int32{1}},
		{"top-k 2", sample.Params{Temperature: 1, TopK: 2}, []int32{1, 3}},
		{"top-k beyond the vocabulary", sample.Params{Temperature: 1, TopK: 99}, []int32{0, 1, 2, 3}},
		{"top-p tiny is greedy", sample.Params{Temperature: 1, TopP: 1e-9}, []int32{1}},
		{"top-p 0.6", sample.Params{Temperature: 1, TopP: 0.6}, []int32{1, 3}},
		{"top-p counts what top-k leaves", sample.Params{Temperature: 1, TopK: 3, TopP: 0.8}, []int32{1, 3}},
		{"top-p 1", sample.Params{Temperature: 1, TopP: 1}, []int32{0, 1, 2, 3}},
		{"min-p 1 is greedy", sample.Params{Temperature: 1, MinP: 1}, []int32{1}},
		{"min-p 0.29", sample.Params{Temperature: 1, MinP: 0.29}, []int32{0, 1, 3}},
		{"top-p, then min-p", sample.Params{Temperature: 1, TopP: 0.8, MinP: 0.45}, []int32{1, 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := draw(t, tt.p, logits, 2000)
			if len(got) != len(tt.want) {
				t.Fatalf("chose among %v, want %v", got, tt.want)
			}
			for _, id := range tt.want {
				if got[id] == 0 {
					t.Errorf("never chose %d", id)
				}
			}
		})
	}
}

func TestChancesFollowTheScoresAndTheTemperature(t *testing.T) {
	for _, tt := range []struct {
		temperature float64
		want        float64 // chance of token 1
	}{{1, 0.5}, {0.5, 0.25 / (0.25 + 0.0625 + 0.0225 + 0.01)}, {1e6, 0.25}} {
		const n = 20000
		got := float64(draw(t, sample.Params{Temperature: tt.temperature, Seed: 3}, logits, n)[1]) / n
		if math.Abs(got-tt.want) > 0.02 {
			t.Errorf("temperature %g: token 1 in %.3f of draws, want %.3f", tt.temperature, got, tt.want)
		}
	}
}

func TestTheSeedDecides(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	wide := make([]float32, 5000)
	for i := range wide {
		wide[i] = r.Float32()
	}
	run := func(seed uint64) (ids [40]int32) {
		s := sample.New(sample.Params{Temperature: 1, TopK: 40, TopP: 0.95, MinP: 0.05, Seed: seed})
		for i := range ids {
			ids[i], _ = s.Next(wide)
		}
		return ids
	}
	first, again := run(7), run(7)
	if first != again {
		t.Error("one seed, two outcomes")
	}
	if first == run(8) {
		t.Error("two seeds, one outcome")
	}
}

func TestTopKOfAWideVocabularyIsTheTop(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	wide := make([]float32, 20000)
	for i, at := range r.Perm(len(wide)) {
		wide[at] = float32(i)
	}
	for id := range draw(t, sample.Params{Temperature: 1e9, TopK: 5}, wide, 500) {
		if wide[id] < float32(len(wide)-5) {
			t.Errorf("chose %d of rank %g", id, float32(len(wide))-wide[id])
		}
	}
}

func TestScoresThatAreNoNumbersAreAnError(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, bad := range [][]float32{{1, nan}, {inf, 1}, {-inf, -inf}, {}} {
		for _, temperature := range []float64{0, 1} {
			if _, err := sample.New(sample.Params{Temperature: temperature}).Next(bad); !errors.Is(err, sample.ErrNotANumber) {
				t.Errorf("%v: got %v", bad, err)
			}
		}
	}
	if id, err := sample.New(sample.Params{Temperature: 1}).Next([]float32{-inf, 2}); err != nil || id != 1 {
		t.Errorf("a token that is ruled out: got %d, %v", id, err)
	}
}

func TestEqualScoresGoToTheFirst(t *testing.T) {
	if id, _ := sample.New(sample.Params{}).Next([]float32{1, 3, 3}); id != 1 {
		t.Errorf("got %d", id)
	}
}
