// Package sample chooses the next token from a model's scores: the likeliest,
// or one by chance among the likely ones, as llama.cpp does it (top-k, then
// top-p, then min-p, then temperature). It knows nothing of models or text.
package sample

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
)

// Params say how to choose. The zero value takes the likeliest token.
type Params struct {
	Temperature float64 // 0 takes the likeliest; higher evens the chances out
	TopK        int     // keep so many of the likeliest; 0 keeps all
	TopP        float64 // keep the likeliest that together reach this; 0 and 1 keep all
	MinP        float64 // drop those below this share of the likeliest
	Seed        uint64  // the same seed makes the same choices
}

// Sampler makes the choices of one answer.
type Sampler struct {
	p    Params
	dice *rand.Rand
	list []candidate
}

type candidate struct {
	id int32
	p  float64 // the score, then the probability
}

// ErrNotANumber is returned for scores that a broken model or engine made.
var ErrNotANumber = errors.New("the model's scores are not numbers")

// New begins an answer.
func New(p Params) *Sampler {
	return &Sampler{p: p, dice: rand.New(rand.NewPCG(p.Seed, 0x9e3779b97f4a7c15))} //nolint:gosec // chance, not secrecy
}

// Next chooses among the scores (logits), one for each token. Equal scores are
// ordered by token.
func (s *Sampler) Next(logits []float32) (int32, error) {
	best := int32(-1)
	for i, f := range logits {
		if f != f {
			return 0, ErrNotANumber
		}
		if best < 0 || f > logits[best] {
			best = int32(i) //nolint:gosec // vocabularies are smaller
		}
	}
	if best < 0 || math.IsInf(float64(logits[best]), 0) {
		return 0, ErrNotANumber
	}
	if s.p.Temperature == 0 || s.p.TopK == 1 {
		return best, nil
	}
	return s.draw(logits, logits[best]), nil
}

// draw chooses by chance.
func (s *Sampler) draw(logits []float32, most float32) int32 {
	s.gather(logits, most)
	s.list = s.cutTopP(s.list)
	total := 0.0
	for i, c := range s.list {
		s.list[i].p = math.Exp((c.p - float64(most)) / s.p.Temperature)
		total += s.list[i].p
	}
	at := s.dice.Float64() * total
	for _, c := range s.list {
		if at -= c.p; at < 0 {
			return c.id
		}
	}
	return s.list[len(s.list)-1].id
}

// gather collects the candidates that top-k and min-p leave, likeliest first.
func (s *Sampler) gather(logits []float32, most float32) {
	floor := float32(math.Inf(-1))
	if s.p.MinP > 0 {
		// p ≥ minP · pmax, said in scores. It commutes with top-k, and leaves
		// far fewer to sort; top-p is taken on what top-k leaves, see cutTopP.
		floor = most + float32(math.Log(s.p.MinP))
	}
	s.list = s.list[:0]
	for i, f := range logits {
		if f >= floor || s.needAll() {
			s.list = append(s.list, candidate{int32(i), float64(f)}) //nolint:gosec // vocabularies are smaller
		}
	}
	k := s.p.TopK
	if k <= 0 || k > len(s.list) {
		k = len(s.list)
	}
	s.list = top(s.list, k)
}

// needAll reports whether top-p must see candidates that min-p would drop: its
// sum is over what top-k leaves, before min-p.
func (s *Sampler) needAll() bool { return s.p.TopP > 0 && s.p.TopP < 1 }

func byScore(a, b candidate) int {
	if c := cmp.Compare(b.p, a.p); c != 0 {
		return c
	}
	return cmp.Compare(a.id, b.id)
}

// top returns the k best of list, sorted. For a small k it keeps a heap of the
// best so far rather than sort a whole vocabulary.
func top(list []candidate, k int) []candidate {
	if k*8 > len(list) {
		slices.SortFunc(list, byScore)
		return list[:k]
	}
	heap := list[:k]
	for i := k/2 - 1; i >= 0; i-- {
		sink(heap, i)
	}
	for i := k; i < len(list); i++ {
		if byScore(list[i], heap[0]) < 0 {
			heap[0] = list[i]
			sink(heap, 0)
		}
	}
	slices.SortFunc(heap, byScore)
	return heap
}

// sink restores a heap whose root is its worst, below i.
func sink(heap []candidate, i int) {
	for {
		worst := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(heap) && byScore(heap[child], heap[worst]) > 0 {
				worst = child
			}
		}
		if worst == i {
			return
		}
		heap[i], heap[worst] = heap[worst], heap[i]
		i = worst
	}
}

// cutTopP drops what top-p and then min-p leave out of a sorted list.
func (s *Sampler) cutTopP(list []candidate) []candidate {
	most := list[0].p
	if s.needAll() {
		total := 0.0
		for _, c := range list {
			total += math.Exp(c.p - most)
		}
		sum := 0.0
		for i, c := range list {
			if sum += math.Exp(c.p-most) / total; sum >= s.p.TopP {
				list = list[:i+1]
				break
			}
		}
	}
	if s.p.MinP > 0 {
		floor := most + math.Log(s.p.MinP)
		for i, c := range list {
			if c.p < floor {
				return list[:i]
			}
		}
	}
	return list
}
