package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rbee.dev/rbee/ops"
)

// digest is what is kept of a secret.
type digest = [sha256.Size]byte

// digestOf is the digest of a secret.
func digestOf(secret string) digest { return sha256.Sum256([]byte(secret)) }

// key is an API key in use. What can change of it is guarded by itself.
type key struct {
	ops.Key // RevokedAt and LastUsedAt are those of when it was read
	digest  digest
	// A minute's worth of each, or nil.
	requests, tokens *bucket
	revoked          atomic.Int64 // Unix milliseconds, or 0
	used             atomic.Int64 // the same; of the last request
	saved            state        // what the database has; see keys.changing
}

func newKey(k ops.Key, d digest) *key {
	n := &key{Key: k, digest: d, requests: newBucket(k.RequestsPerMinute), tokens: newBucket(k.TokensPerMinute)}
	n.revoked.Store(millis(k.RevokedAt))
	n.used.Store(millis(k.LastUsedAt))
	n.saved = n.changing()
	return n
}

// state is what changes of a key by its use.
type state struct {
	used, revoked    int64
	requests, tokens reading
}

func (k *key) changing() state {
	return state{k.used.Load(), k.revoked.Load(), k.requests.read(), k.tokens.read()}
}

// state is whether the key is taken at a time.
func (k *key) state(now time.Time) ops.KeyState {
	switch {
	case k.revoked.Load() != 0:
		return ops.KeyRevoked
	case k.ExpiresAt != nil && !now.Before(*k.ExpiresAt):
		return ops.KeyExpired
	}
	return ops.KeyActive
}

// opens reports whether the key opens a scope. Admin opens them all.
func (k *key) opens(s ops.Scope) bool {
	return slices.Contains(k.Scopes, s) || slices.Contains(k.Scopes, ops.ScopeAdmin)
}

// info is what is told of the key.
func (k *key) info(now time.Time) ops.Key {
	i := k.Key
	i.State, i.RevokedAt, i.LastUsedAt = k.state(now), moment(k.revoked.Load()), moment(k.used.Load())
	return i
}

func millis(t *time.Time) int64 {
	if t == nil {
		return 0
	}
	return t.UnixMilli()
}

func moment(millis int64) *time.Time {
	if millis == 0 {
		return nil
	}
	t := time.UnixMilli(millis).UTC()
	return &t
}

// keys are all keys there are, by the beginning of their digests.
type keys struct {
	changing sync.Mutex // held while keys are made, revoked or written down, database and all

	mu    sync.RWMutex
	all   []*key // oldest first
	known map[[8]byte][]*key
}

func prefix(d digest) [8]byte { return [8]byte(d[:8]) }

func (k *keys) set(all []*key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all, k.known = all, make(map[[8]byte][]*key, len(all))
	for _, one := range all {
		k.known[prefix(one.digest)] = append(k.known[prefix(one.digest)], one)
	}
}

// list returns the keys, oldest first.
func (k *keys) list() []*key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.Clone(k.all)
}

// none reports whether there has never been a key, or all were forgotten.
func (k *keys) none() bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.all) == 0
}

// find returns the key with that digest, or nil. Looking up by a part of a digest
// tells who measures the time nothing of a secret; the whole of it is compared in
// the same time whatever it is.
func (k *keys) find(d digest) *key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, one := range k.known[prefix(d)] {
		if subtle.ConstantTimeCompare(one.digest[:], d[:]) == 1 {
			return one
		}
	}
	return nil
}

// byID returns the key with the id, or nil.
func (k *keys) byID(id string) *key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, one := range k.all {
		if one.ID == id {
			return one
		}
	}
	return nil
}
