package builtin

import (
	"context"

	"rbee.dev/rbee/inference/sample"
)

// request is one generation on its way through the scheduler.
type request struct {
	ctx     context.Context //nolint:containedctx // a request is a call that waits its turn
	prompt  []int32
	most    int // tokens to make at most
	sampler *sample.Sampler
	// out carries the tokens. It has room for all of them, so that a reader
	// who is slow never holds the step up.
	out chan int32
	// err says why the generation ended, once out is closed; nil is that the
	// model ended it or that most was reached.
	err  error
	ends bool // the model ended it
}

// slot is a place for one request, and what is cached from the one before.
type slot struct {
	cache  *cache
	cached []int32 // the tokens whose keys and values are in the cache
	req    *request
	made   int   // tokens made
	next   int32 // the token to feed, once the prompt is done
}

// begin gives the slot a request. What the cache holds of the beginning of its
// prompt is kept; the last token of the prompt is always computed, since its
// scores are what the answer begins with.
func (s *slot) begin(r *request) {
	s.req, s.made = r, 0
	s.cached = s.cached[:min(common(s.cached, r.prompt), len(r.prompt)-1)]
}

// common counts the tokens that a and b begin with both.
func common(a, b []int32) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// end tells the reader how the request went and frees the slot.
func (s *slot) end(err error) {
	s.req.err = err
	close(s.req.out)
	s.req = nil
}

// pending is how many tokens of the prompt are still to be computed.
func (s *slot) pending() int { return max(0, len(s.req.prompt)-len(s.cached)) }

// feed adds up to most of the slot's next tokens to a batch.
func (s *slot) feed(batch []place, most int) []place {
	from := len(s.cached)
	tokens := []int32{s.next}
	if n := s.pending(); n > 0 {
		tokens = s.req.prompt[from : from+min(n, most)]
	}
	s.cache.reserve(from + len(tokens))
	for i, t := range tokens {
		position := from + i
		batch = append(batch, place{
			token: t, position: position, cache: s.cache,
			logits: position+1 >= len(s.req.prompt) && i == len(tokens)-1,
		})
	}
	s.cached = append(s.cached, tokens...)
	return batch
}
