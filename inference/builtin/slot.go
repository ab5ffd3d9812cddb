package builtin

// slot is a place for one request, and what is cached from the one before.
type slot struct {
	cache  *cache
	cached []int32 // the tokens whose keys and values are in the cache
	fed    []int32 // the tokens that are being computed
	req    *request
	made   int   // tokens made
	next   int32 // the token to feed, once the prompt is done
	one    [1]int32
}

// begin gives the slot a request. What the cache holds of the beginning of its
// prompt is kept; the last token of the prompt is always computed, since its
// scores are what the answer begins with.
func (s *slot) begin(r *request) {
	s.req, s.made = r, 0
	s.cached = s.cached[:s.keeps(r)]
}

// keeps is how many tokens of r's prompt need not be computed.
func (s *slot) keeps(r *request) int {
	if r.sum != nil { // every token's vector is wanted
		return 0
	}
	return min(common(s.cached, r.prompt), len(r.prompt)-1)
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
	s.req.finish(err)
	s.req, s.fed = nil, nil
}

// pending is how many tokens of the prompt are still to be computed.
func (s *slot) pending() int { return max(0, len(s.req.prompt)-len(s.cached)) }

// feed adds the slot's next tokens to a batch: up to most of its prompt, or the
// last one of its answer.
func (s *slot) feed(batch []place, most int) []place {
	from := len(s.cached)
	if n := s.pending(); n > 0 {
		s.fed = s.req.prompt[from : from+min(n, most)]
	} else {
		s.one[0] = s.next
		s.fed = s.one[:]
	}
	s.cache.reserve(from + len(s.fed))
	for i, t := range s.fed {
		last := from+i+1 >= len(s.req.prompt)
		batch = append(batch, place{
			token: t, position: from + i, cache: s.cache,
			logits: last && s.req.sum == nil, sum: s.req.sum,
		})
	}
	return batch
}

// computed notes that what was fed is in the cache now.
func (s *slot) computed() {
	s.cached = append(s.cached, s.fed...)
	s.fed = nil
}
