package access

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// Create makes a key for the secret whose digest o has. The same key again, as
// of a job that a restart has interrupted, is the one there is. Of the first one
// it narrates what changes for those who have none.
func (a *Access) Create(ctx context.Context, o ops.KeyCreate) (ops.Key, error) {
	raw, err := hex.DecodeString(o.Digest)
	if err != nil || len(raw) != len(digest{}) {
		return ops.Key{}, ops.Invalid("digest", "is no SHA-256")
	}
	now := a.Now().UTC()
	k := ops.Key{
		ID: "k" + strings.ToLower(rand.Text()[:8]), Name: o.Label, Scopes: once(o.Scopes), Models: once(o.Models),
		RequestsPerMinute: o.RequestsPerMinute, TokensPerMinute: o.TokensPerMinute, CreatedAt: now,
	}
	if len(k.Scopes) == 0 {
		k.Scopes = []ops.Scope{ops.ScopeInference}
	}
	if o.Expires != nil {
		age, err := ops.ParseAge(*o.Expires)
		if err != nil {
			return ops.Key{}, err
		}
		at := now.Add(age)
		k.ExpiresAt = &at
	}
	fresh := newKey(k, digest(raw))
	a.keys.changing.Lock()
	defer a.keys.changing.Unlock()
	if old := a.keys.find(fresh.digest); old != nil {
		if old.state(now) == ops.KeyActive && (old.Name == k.Name || k.Name == "") && slices.Equal(old.Scopes, k.Scopes) && slices.Equal(old.Models, k.Models) {
			return old.info(now), nil
		}
		return ops.Key{}, ops.Errorf(ops.CodeConflict, "the secret belongs to the API key %s already", old.called())
	}
	if err := a.christen(fresh, now); err != nil {
		return ops.Key{}, err
	}
	if err := saveKey(ctx, a.DB, fresh); err != nil {
		return ops.Key{}, err
	}
	if a.keys.none() {
		ops.Narrate(ctx, "keys", "from now on models want a key from every program, those of this machine too")
	}
	a.keys.set(append(a.keys.list(), fresh))
	return fresh.info(now), nil
}

// once is list with each word the first time only.
func once[S ~string](list []S) []S {
	kept := make([]S, 0, len(list))
	for _, s := range list {
		if !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	return kept
}

// List lists the keys, oldest first.
func (a *Access) List() ops.Keys {
	list, now := ops.Keys{Keys: []ops.Key{}}, a.Now()
	for _, k := range a.keys.list() {
		list.Keys = append(list.Keys, k.info(now))
	}
	return list
}

// Sees reports whether who has sent a job with the key by (see [ops.CallerOf]) is
// told of what client has asked for, which is a key's id as well.
func (a *Access) Sees(by, client string) bool {
	if by == "" || by == client {
		return true
	}
	k := a.keys.byID(by)
	return k != nil && k.opens(ops.ScopeAdmin)
}

// NameOf is what a person calls the key with the id, or "".
func (a *Access) NameOf(id string) string {
	if k := a.keys.byID(id); k != nil {
		return k.Name
	}
	return ""
}

// Active reports whether there is a key that opens inference now.
func (a *Access) Active() bool {
	return slices.ContainsFunc(a.keys.list(), func(k *key) bool {
		return k.state(a.Now()) == ops.KeyActive && k.opens(ops.ScopeInference)
	})
}

// Revoke ends a key at once: the next request with it is refused. Of the last one
// that is forgotten it narrates that none is wanted any more.
func (a *Access) Revoke(ctx context.Context, o ops.KeyRevoke) (ops.KeyEnded, error) {
	a.keys.changing.Lock()
	defer a.keys.changing.Unlock()
	now := a.Now()
	k, err := a.named(o.ID, now)
	if err != nil {
		return ops.KeyEnded{}, err
	}
	if at := k.revoked.Load(); at != 0 && !o.Forget {
		ops.Narrate(ctx, "keys", "it was revoked already, at %s", time.UnixMilli(at).UTC().Format(time.DateTime+" MST"))
	}
	k.revoked.CompareAndSwap(0, now.UnixMilli()) // at once, whatever the disk says
	if err := endKey(ctx, a.DB, k.ID, now, o.Forget); err != nil && o.Forget {
		return ops.KeyEnded{}, ops.AsError(err).WithHint("it is refused from now on; once the disk of the state folder has room, forget it again")
	} else if err != nil {
		ops.Warn(ctx, "keys", "the key is refused from now on, but that is not written down yet: %v; it will be once the disk of the state folder has room, and is lost where the queen ends before", err)
	} else {
		k.saved.revoked = k.revoked.Load()
	}
	if o.Forget {
		a.keys.set(slices.DeleteFunc(a.keys.list(), func(other *key) bool { return other == k }))
		if a.keys.none() {
			ops.Narrate(ctx, "keys", "there is no key any more: programs of this machine use models without one")
		}
	}
	return ops.KeyEnded{ID: k.ID, Name: k.Name, Forgotten: o.Forget}, nil
}

// Unwritten are the keys whose end could not be written down, which it tries once
// more, of how many requests what they have used could not be, and why: the next queen
// would take those keys again, and knows nothing of those requests.
func (a *Access) Unwritten(ctx context.Context) (revoked []string, uncounted int64, why error) {
	if why = a.ledger.write(ctx, a.DB, a.Now()); why != nil { // else what is pending came since
		uncounted = a.ledger.uncounted()
	}
	a.keys.changing.Lock()
	defer a.keys.changing.Unlock()
	why = cmp.Or(a.keys.save(ctx, a.DB), why)
	for _, k := range a.keys.list() {
		if k.revoked.Load() != k.saved.revoked {
			revoked = append(revoked, k.called())
		}
	}
	return revoked, uncounted, why
}

// christen sees that a key which is to be made has a name, which no other one that
// is taken has, and which is no other one's id.
func (a *Access) christen(k *key, now time.Time) error {
	taken := map[string]*key{}
	for _, other := range a.keys.list() {
		if other.state(now) == ops.KeyActive {
			taken[other.Name] = other
		}
	}
	for n := 1; k.Name == ""; n++ {
		if name := fmt.Sprintf("key-%d", n); taken[name] == nil {
			k.Name = name
		}
	}
	if other := a.keys.byID(k.Name); other != nil { // by which it, and not this one, would be meant
		e := ops.Errorf(ops.CodeConflict, "%s is the id of the API key %s", k.Name, other.called())
		e.Field = "name"
		return e.WithHint("choose another name")
	}
	if other := taken[k.Name]; other != nil {
		e := ops.Errorf(ops.CodeConflict, "the API key %s is called %s already", other.ID, k.Name)
		e.Field = "name"
		return e.WithHint("choose another name, or `rbee key revoke %s` before", other.ID)
	}
	return nil
}

// named is the key with that id, or else the one with that name, of which those
// that are taken come first.
func (a *Access) named(name string, now time.Time) (*key, error) {
	if k := a.keys.byID(name); k != nil {
		return k, nil
	}
	var active, all []*key
	for _, k := range a.keys.list() {
		if k.Name == name {
			all = append(all, k)
			if k.state(now) == ops.KeyActive {
				active = append(active, k)
			}
		}
	}
	if len(active) > 0 {
		all = active
	}
	if len(all) > 1 {
		var ids []string
		for _, k := range all {
			ids = append(ids, k.ID)
		}
		e := ops.Errorf(ops.CodeConflict, "%d API keys are called %s: %s", len(ids), name, list(ids))
		e.Field = "id"
		return nil, e.WithHint("name one by its id; `rbee key list` shows them")
	}
	if len(all) == 0 {
		return nil, a.unknown("id", name)
	}
	return all[0], nil
}

// unknown is the error of what is no key's id nor name; field is where that was.
func (a *Access) unknown(field, name string) error {
	var names []string
	for _, k := range a.keys.list() {
		names = append(names, k.ID, k.Name)
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no API key %q", name)
	e.Field = field
	if near := ops.Nearest(name, names); near != "" {
		return e.WithHint("did you mean %q? `rbee key list` shows the keys there are", near)
	}
	return e.WithHint("`rbee key list` shows the keys there are")
}
