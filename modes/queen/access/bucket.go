package access

import (
	"sync"
	"time"
)

// bucket holds what may be used in a minute: a minute's worth may be used at
// once, from then on as much as flows back. What a request may come to use is
// held from its beginning on, and put right at its end; it may be owed. (A
// limiter of golang.org/x/time/rate can neither give back nor be written down.)
type bucket struct {
	most float64 // a minute's worth

	mu    sync.Mutex
	level float64 // what is left at the time at; below 0 is owed
	held  float64 // what requests that run may use, which is taken off level already
	at    time.Time
}

// newBucket is nil for 0, which is no limit; a nil bucket lets all through.
func newBucket(perMinute int) *bucket {
	if perMinute == 0 {
		return nil
	}
	return &bucket{most: float64(perMinute), level: float64(perMinute)}
}

// flow lets what the time since has brought flow back. The caller holds the lock.
func (b *bucket) flow(now time.Time) {
	if passed := now.Sub(b.at); passed > 0 {
		b.level = min(b.most, b.level+passed.Minutes()*b.most)
		b.at = now
	}
}

// heldWait is when to ask again where requests that run hold what is missing: they
// may give it back at any moment.
const heldWait = 5 * time.Second

// hold takes n, or a minute's worth where that is less, if anything is left. It
// returns what it has taken, else how long to wait. So all requests together are
// never let to use more than a minute's worth and what the last one of them holds.
func (b *bucket) hold(now time.Time, n int) (held int, wait time.Duration) {
	if b == nil {
		return 0, 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flow(now)
	if b.level < 1 {
		wait = max(time.Duration((1-b.level)/b.most*float64(time.Minute)), time.Millisecond)
		if b.level+b.held >= 1 {
			wait = min(wait, heldWait)
		}
		return 0, wait
	}
	n = min(n, int(b.most))
	b.level -= float64(n)
	b.held += float64(n)
	return n, 0
}

// settle puts right what was held by what was used of it, or beyond it.
func (b *bucket) settle(now time.Time, held, used int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flow(now)
	b.held -= float64(held)
	b.level = min(b.most, b.level+float64(held-used))
}

// back gives back one that was used for nothing.
func (b *bucket) back(now time.Time) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flow(now)
	b.level = min(b.most, b.level+1)
}

// reading is how full a bucket is, as it is written down.
type reading struct {
	Level float64 `json:"level"`
	At    int64   `json:"at"` // Unix milliseconds
}

// read returns how full the bucket is, without what is held: a request that the
// end of the process breaks off never puts it right.
func (b *bucket) read() reading {
	if b == nil {
		return reading{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return reading{min(b.most, b.level+b.held), b.at.UnixMilli()}
}

// set makes the bucket as full as it was.
func (b *bucket) set(r reading) {
	if b == nil || r.At <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.level, b.at = min(b.most, r.Level), time.UnixMilli(r.At)
}
