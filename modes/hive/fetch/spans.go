package fetch

import (
	"slices"
	"sync"
)

// span is the bytes of a file from From up to, not including, To.
type span struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// spans is which bytes of a file are there. It is safe for several goroutines.
type spans struct {
	mu   sync.Mutex
	list []span // sorted, apart from each other
}

func newSpans(list []span) *spans {
	s := &spans{}
	for _, x := range list {
		s.add(x.From, x.To)
	}
	return s
}

// add says that the bytes from from to to are there now.
func (s *spans) add(from, to int64) {
	if from >= to {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	first, _ := slices.BinarySearchFunc(s.list, from, func(x span, at int64) int { return int(min(1, max(-1, x.To-at))) })
	last := first
	for last < len(s.list) && s.list[last].From <= to {
		from, to = min(from, s.list[last].From), max(to, s.list[last].To)
		last++
	}
	s.list = slices.Replace(s.list, first, last, span{from, to})
}

// all is a copy of what is there.
func (s *spans) all() []span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// clear forgets everything.
func (s *spans) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = nil
}

// cut forgets the last n bytes, or all if there are not more, and returns where
// what is left ends.
func (s *spans) cut(n int64) (end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.list) > 0 {
		last := &s.list[len(s.list)-1]
		if size := last.To - last.From; size <= n {
			n -= size
			s.list = s.list[:len(s.list)-1]
			continue
		}
		last.To -= n
		return last.To
	}
	return 0
}

// sum is how many bytes are there.
func (s *spans) sum() (n int64) {
	for _, x := range s.all() {
		n += x.To - x.From
	}
	return n
}

// front is how many bytes are there from the beginning without a gap.
func (s *spans) front() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == 0 || s.list[0].From > 0 {
		return 0
	}
	return s.list[0].To
}

// gaps is what is missing of a file of size bytes, in pieces of at most piece
// bytes; 0 cuts none.
func (s *spans) gaps(size, piece int64) (gaps []span) {
	at := int64(0)
	for _, x := range append(s.all(), span{size, size}) {
		for at < x.From {
			to := x.From
			if piece > 0 {
				to = min(to, at+piece)
			}
			gaps = append(gaps, span{at, to})
			at = to
		}
		at = max(at, x.To)
	}
	return gaps
}
