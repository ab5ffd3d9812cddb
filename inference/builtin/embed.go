package builtin

import (
	"context"
	"math"

	"rbee.dev/rbee/ops"
)

// Embed turns each text into a vector of length 1: the mean of what the last
// layer makes of its tokens. It is the engine's side of /v1/embeddings.
func (e *Engine) Embed(ctx context.Context, texts []string) (vectors [][]float32, tokens int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	list := make([]*request, len(texts))
	for i, text := range texts {
		prompt := e.tokens.Encode(text, true, false)
		if text == "" {
			return nil, 0, ops.Invalid("input", "text %d is empty", i)
		}
		if err := e.fits("input", len(prompt), e.context); err != nil {
			return nil, 0, err
		}
		tokens += len(prompt)
		list[i] = &request{ctx: ctx, prompt: prompt, sum: make([]float32, e.width), out: make(chan int32)}
	}
	if err := e.scheduler.submit(list...); err != nil {
		return nil, 0, err
	}
	for _, q := range list {
		<-q.out // closed at the end; these requests make no tokens
		if q.err != nil {
			return nil, 0, q.err
		}
		vectors = append(vectors, unit(q.sum))
	}
	return vectors, tokens, nil
}

// unit gives a vector the length 1. For that the mean and the sum are the same.
func unit(v []float32) []float32 {
	var square float64
	for _, f := range v {
		square += float64(f) * float64(f)
	}
	if square == 0 {
		return v
	}
	scale := float32(1 / math.Sqrt(square))
	for i := range v {
		v[i] *= scale
	}
	return v
}
