package access

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/modes/queen/gateway"
	"rbee.dev/rbee/ops"
)

func TestANameIsOneLiveKeys(t *testing.T) {
	o := newOffice(t)
	create := func(k ops.KeyCreate) (ops.Key, error) {
		k.Digest = ops.KeyDigest(ops.NewKeySecret())
		return o.Create(t.Context(), k)
	}
	web, _ := o.key(ops.KeyCreate{Label: "web"})
	if _, err := create(ops.KeyCreate{Label: "web"}); ops.CodeOf(err) != ops.CodeConflict || !strings.Contains(ops.AsError(err).Hint, "rbee key revoke "+web.ID) {
		t.Errorf("a second one: %v", err)
	}
	if _, err := create(ops.KeyCreate{Label: web.ID}); ops.CodeOf(err) != ops.CodeConflict || !strings.Contains(err.Error(), "is the id of the API key "+web.ID+" (web)") {
		t.Errorf("one by the other's id: %v", err)
	}
	if ended, err := o.Revoke(t.Context(), ops.KeyRevoke{ID: "web"}); err != nil || ended.ID != web.ID {
		t.Errorf("revoked by its name: %+v, %v", ended, err)
	}
	again, err := create(ops.KeyCreate{Label: "web", Expires: new("1h")})
	if err != nil {
		t.Errorf("once the first is revoked: %v", err)
	}
	if ended, err := o.Revoke(t.Context(), ops.KeyRevoke{ID: "web"}); err != nil || ended.ID != again.ID {
		t.Errorf("the one that is taken comes first: %+v, %v", ended, err)
	}
	if _, err := o.Revoke(t.Context(), ops.KeyRevoke{ID: "web", Forget: true}); ops.CodeOf(err) != ops.CodeConflict || !strings.Contains(err.Error(), web.ID+" and "+again.ID) {
		t.Errorf("one of two that are revoked: %v", err)
	}
	if _, err := create(ops.KeyCreate{Label: "web", Expires: new("1h")}); err != nil {
		t.Error(err)
	}
	o.now = o.now.Add(2 * time.Hour)
	if _, err := create(ops.KeyCreate{Label: "web"}); err != nil {
		t.Errorf("once the other has expired: %v", err)
	}
	for _, want := range []string{"key-1", "key-2"} {
		if k, err := create(ops.KeyCreate{}); err != nil || k.Name != want {
			t.Errorf("one that nobody names: %+v, %v", k, err)
		}
	}
	if _, err := o.Revoke(t.Context(), ops.KeyRevoke{ID: "wep"}); ops.CodeOf(err) != ops.CodeNotFound || !strings.Contains(ops.AsError(err).Hint, `did you mean "web"?`) {
		t.Errorf("a name that there is not: %v", err)
	}
}

func TestUsageOfWhatThereIsNotIsNoUsage(t *testing.T) {
	o := newOffice(t)
	o.Model = func(name string) string {
		return map[string]string{"fast": "bee"}[name] + strings.TrimPrefix(name, "fast")
	}
	k, _ := o.key(ops.KeyCreate{Label: "web"})
	gone, _ := o.key(ops.KeyCreate{Label: "guest"})
	o.Guest(gone.ID).Used(gateway.Use{Model: "wasp", TokensIn: 1})
	o.Guest(k.ID).Used(gateway.Use{Model: "bee", TokensIn: 2})
	if _, err := o.Revoke(t.Context(), ops.KeyRevoke{ID: "guest", Forget: true}); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		o     ops.Usage
		field string // "" tells
		hint  string
		in    int64
	}{
		"an alias":                   {ops.Usage{Model: "fast"}, "", "", 2},
		"a model that is gone":       {ops.Usage{Model: "wasp"}, "", "", 1},
		"one that was never used":    {ops.Usage{Model: "hornet"}, "", "", 0},
		"one that there never was":   {ops.Usage{Model: "horned"}, "model", `did you mean "hornet"?`, 0},
		"one like none":              {ops.Usage{Model: "elephant"}, "model", "`rbee usage --by model`", 0},
		"a key that is forgotten":    {ops.Usage{Key: gone.ID}, "", "", 1},
		"its name, which is as well": {ops.Usage{Key: "guest"}, "key", "`rbee key list`", 0},
		"a key like another":         {ops.Usage{Key: "wep"}, "key", `did you mean "web"?`, 0},
	} {
		got, err := o.Usage(t.Context(), tt.o)
		if e := ops.AsError(err); e != nil && (e.Code != ops.CodeNotFound || e.Field != tt.field || !strings.Contains(e.Hint, tt.hint)) || (e == nil) != (tt.field == "") {
			t.Errorf("%s: %+v", name, err)
		}
		if got.Total.TokensIn != tt.in {
			t.Errorf("%s: %+v", name, got.Total)
		}
	}
}

// TestAKeyIsRefusedThoughNothingCanBeWrittenDown: which is made up for later.
func TestAKeyIsRefusedThoughNothingCanBeWrittenDown(t *testing.T) {
	o := newOffice(t)
	k, secret := o.key(ops.KeyCreate{Label: "web"})
	full, cancel := context.WithCancel(t.Context())
	cancel()
	if ended, err := o.Revoke(full, ops.KeyRevoke{ID: "web"}); err != nil || ended.ID != k.ID {
		t.Errorf("%+v, %v", ended, err)
	}
	if got, err := o.ask(models, secret); got != http.StatusUnauthorized {
		t.Errorf("it is let in: %d, %v", got, err)
	}
	if _, err := o.Revoke(full, ops.KeyRevoke{ID: k.ID, Forget: true}); err == nil || !strings.Contains(ops.AsError(err).Hint, "refused from now on") || len(o.List().Keys) != 1 {
		t.Errorf("forgotten: %v", err)
	}
	if lost, _, err := o.Unwritten(full); err == nil || len(lost) != 1 || lost[0] != k.ID+" (web)" {
		t.Errorf("what is not written down yet: %q, %v", lost, err)
	}
	if lost, _, err := o.Unwritten(t.Context()); err != nil || len(lost) != 0 { // which tries it
		t.Errorf("and once it is: %q, %v", lost, err)
	}
	o.reopen()
	if got := o.List().Keys[0].State; got != ops.KeyRevoked {
		t.Errorf("after a restart it is %s", got)
	}
}

// TestARevocationThatIsWrittenDownIsNotMissed: where only what a key has used since is not.
func TestARevocationThatIsWrittenDownIsNotMissed(t *testing.T) {
	o := newOffice(t)
	_, secret := o.key(ops.KeyCreate{Label: "web"})
	if _, err := o.ask(models, secret); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Revoke(t.Context(), ops.KeyRevoke{ID: "web"}); err != nil {
		t.Fatal(err)
	}
	full, cancel := context.WithCancel(t.Context())
	cancel()
	if lost, _, _ := o.Unwritten(full); len(lost) != 0 {
		t.Errorf("not written down: %q", lost)
	}
}

// TestARevocationIsTriedAgainThoughUseCannotBeWrittenDown: neither keeps the other.
func TestARevocationIsTriedAgainThoughUseCannotBeWrittenDown(t *testing.T) {
	o := newOffice(t)
	k, _ := o.key(ops.KeyCreate{Label: "web"})
	full, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.Revoke(full, ops.KeyRevoke{ID: "web"}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.DB.ExecContext(t.Context(), "ALTER TABLE usage RENAME TO elsewhere"); err != nil {
		t.Fatal(err)
	}
	o.Guest(k.ID).Used(gateway.Use{Model: "bee", TokensIn: 3})
	if err := o.Write(t.Context()); err == nil {
		t.Error("nothing is said of what cannot be written down")
	}
	if lost, _, err := o.Unwritten(full); len(lost) != 0 {
		t.Errorf("not written down: %q, %v", lost, err)
	}
}

func TestWhatAKeyIsForIsKeptOnce(t *testing.T) {
	o := newOffice(t)
	k, _ := o.key(ops.KeyCreate{Label: "web", Scopes: []ops.Scope{ops.ScopeJobs, ops.ScopeJobs, ops.ScopeInference}, Models: []string{"bee", "wasp", "bee"}})
	if !slices.Equal(k.Scopes, []ops.Scope{ops.ScopeJobs, ops.ScopeInference}) || !slices.Equal(k.Models, []string{"bee", "wasp"}) {
		t.Errorf("it is for %v, of %v", k.Scopes, k.Models)
	}
}
