package access

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
)

const (
	chat   = "POST /v1/chat/completions"
	models = "GET /v1/models"
	stop   = "POST /v1/shutdown"
)

func TestWithoutAnyKeyThisMachinesProgramsAreLetInForInferenceAlone(t *testing.T) {
	o := newOffice(t)
	for name, tt := range map[string]struct {
		route  string
		header []string
		from   string
		want   int
	}{
		"nothing at all":                     {chat, nil, "", 200},
		"what clients send in place of one":  {chat, []string{"Authorization", "Bearer none"}, "", 200},
		"the list of models":                 {models, nil, "", 200},
		"by name":                            {chat, []string{"Host", "localhost:7833"}, "", 200},
		"by IPv6":                            {chat, []string{"Host", "[::1]:7833"}, "[::1]:50000", 200},
		"from another machine":               {chat, nil, "192.168.1.9:50000", 401},
		"under another name":                 {chat, []string{"Host", "llm.example"}, "", 401},
		"passed on by a proxy":               {chat, []string{"X-Forwarded-For", "203.0.113.9"}, "", 401},
		"passed on by a proxy that tells it": {chat, []string{"Forwarded", "for=203.0.113.9"}, "", 401},
		"jobs":                               {submit, nil, "", 401},
		"jobs with something":                {submit, []string{"Authorization", "Bearer none"}, "", 401},
		"the end of the queen":               {stop, nil, "", 401},
		"a route that nobody has listed":     {"GET /v1/new", nil, "", 401},
		"health":                             {"GET /health", nil, "192.168.1.9:1", 200},
		"the token":                          {submit, []string{"Authorization", "Bearer the-token"}, "", 200},
		"the token in Anthropic's header":    {chat, []string{"X-Api-Key", "the-token"}, "192.168.1.9:1", 200},
		"the token for what is not listed":   {"GET /v1/new", []string{"Authorization", "bearer the-token"}, "", 200},
		"the token as another scheme":        {submit, []string{"Authorization", "Basic the-token"}, "", 401},
		"a part of the token":                {submit, []string{"Authorization", "Bearer the-toke"}, "", 401},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(tt.route, tt.header...)
			if tt.from != "" {
				r.RemoteAddr = tt.from
			}
			if _, err := o.Admit(r, tt.route); status(err) != tt.want {
				t.Errorf("%d (%v), want %d", status(err), err, tt.want)
			}
		})
	}
}

func TestFromTheFirstKeyOnInferenceWantsOne(t *testing.T) {
	o := newOffice(t)
	_, secret := o.key(ops.KeyCreate{Label: "web"})
	for given, want := range map[string]int{secret: 200, "": 401, "none": 401, secret + "x": 401, secret[:len(secret)-1]: 401, "the-token": 200} {
		if got, err := o.ask(chat, given); got != want {
			t.Errorf("%q: %d (%v), want %d", given, got, err, want)
		}
	}
	if _, err := o.Admit(request(chat, "X-Api-Key", secret), chat); err != nil {
		t.Errorf("in Anthropic's header: %v", err)
	}
	o.reopen()
	if got, err := o.ask(chat, secret); got != 200 {
		t.Errorf("after a restart: %d (%v)", got, err)
	}
	if got, _ := o.ask(chat, ""); got != 401 {
		t.Errorf("without one, after a restart: %d", got)
	}
}

func TestAScopeOpensItsRoutesAndNoOthers(t *testing.T) {
	o := newOffice(t)
	const state = "GET /v1/state/stream"
	for _, tt := range []struct {
		scopes []ops.Scope
		want   map[string]int
	}{
		{nil, map[string]int{chat: 200, models: 200, "GET /v1/jobs": 403, stop: 403, state: 403, "GET /v1/new": 403}},
		{[]ops.Scope{ops.ScopeJobs}, map[string]int{chat: 403, submit: 200, "DELETE /v1/jobs/:id": 200, stop: 403, state: 403, "POST " + ops.LoginPath: 403}},
		{[]ops.Scope{ops.ScopeInference, ops.ScopeJobs}, map[string]int{chat: 200, submit: 200, stop: 403}},
		{[]ops.Scope{ops.ScopeAdmin}, map[string]int{chat: 200, submit: 200, stop: 200, state: 200, "GET /v1/new": 200}},
	} {
		_, secret := o.key(ops.KeyCreate{Scopes: tt.scopes})
		for route, want := range tt.want {
			got, err := o.ask(route, secret)
			if got != want {
				t.Errorf("a key for %v on %s: %d (%v), want %d", tt.scopes, route, got, err, want)
			}
			if want == 403 && !strings.Contains(ops.AsError(err).Hint, "--scope") {
				t.Errorf("no hint to another scope: %v", ops.AsError(err))
			}
		}
	}
}

func TestARevokedOrExpiredKeyIsRefusedAndTheErrorSaysWhy(t *testing.T) {
	o := newOffice(t)
	revoked, secret := o.key(ops.KeyCreate{Label: "old"})
	_, brief := o.key(ops.KeyCreate{Expires: new("1h")})
	if _, err := o.Revoke(t.Context(), ops.KeyRevoke{ID: revoked.ID}); err != nil {
		t.Fatal(err)
	}
	if got, err := o.ask(chat, secret); got != 401 || !strings.Contains(err.Error(), "revoked") || strings.Contains(err.Error(), secret) {
		t.Errorf("revoked: %d %v", got, err)
	}
	if got, err := o.ask(chat, brief); got != 200 {
		t.Errorf("before its hour is over: %d %v", got, err)
	}
	o.now = o.now.Add(time.Hour)
	if got, err := o.ask(chat, brief); got != 401 || !strings.Contains(err.Error(), "expired") {
		t.Errorf("expired: %d %v", got, err)
	}
	o.reopen()
	for name, s := range map[string]string{"revoked": secret, "expired": brief} {
		if got, err := o.ask(chat, s); got != 401 || !strings.Contains(err.Error(), name) {
			t.Errorf("%s, after a restart: %d %v", name, got, err)
		}
	}
	if o.Active() {
		t.Error("a key counts as active, but none is")
	}
	if got, _ := o.ask(chat, ""); got != 401 {
		t.Error("revoking the last key has opened the door")
	}
}

func TestForgettingTheLastKeyOpensInferenceAgain(t *testing.T) {
	o := newOffice(t)
	k, secret := o.key(ops.KeyCreate{})
	if ended, err := o.Revoke(t.Context(), ops.KeyRevoke{ID: k.ID, Forget: true}); err != nil || !ended.Forgotten {
		t.Fatal(ended, err)
	}
	if got, err := o.ask(chat, ""); got != 200 {
		t.Errorf("%d %v", got, err)
	}
	if got, _ := o.ask(submit, secret); got != 401 {
		t.Errorf("the forgotten key gets %d", got)
	}
	if _, err := o.Revoke(t.Context(), ops.KeyRevoke{ID: k.ID}); ops.CodeOf(err) != ops.CodeNotFound {
		t.Errorf("revoked again: %v", err)
	}
}

// TestLookingDoesNotCountAsARequest: what a job does, does.
func TestLookingDoesNotCountAsARequest(t *testing.T) {
	o := newOffice(t)
	_, secret := o.key(ops.KeyCreate{Scopes: []ops.Scope{ops.ScopeJobs}, RequestsPerMinute: 1})
	for _, tt := range []struct {
		o    ops.Op
		want int
	}{
		{ops.WorkerList{}, 202},
		{ops.ModelList{}, 202},
		{ops.KeyList{}, 403},
		{ops.Infer{Prompt: "a"}, 202},
		{ops.Infer{Prompt: "a"}, 429},
		{ops.Status{}, 202},
	} {
		if got, text := o.submit(tt.o, secret); got != tt.want {
			t.Errorf("%s: %d %s, want %d", tt.o.Name(), got, text, tt.want)
		}
	}
}

func TestAKeyIsHeldToItsRequestsAMinute(t *testing.T) {
	o := newOffice(t)
	_, secret := o.key(ops.KeyCreate{RequestsPerMinute: 3})
	for i := range 3 {
		if got, err := o.ask(chat, secret); got != 200 {
			t.Fatalf("request %d: %d %v", i, got, err)
		}
	}
	_, err := o.ask(chat, secret)
	refusal, ok := errors.AsType[job.Refusal](err)
	if !ok || refusal.Status != http.StatusTooManyRequests || refusal.After != 20*time.Second || !strings.Contains(err.Error(), "requests") {
		t.Fatalf("the fourth: %+v", err)
	}
	if got, err := o.ask(models, secret); got != 200 {
		t.Errorf("asking for the models counts too: %d %v", got, err)
	}
	o.now = o.now.Add(refusal.After)
	if got, err := o.ask(chat, secret); got != 200 {
		t.Errorf("after what Retry-After says: %d %v", got, err)
	}
	if got, _ := o.ask(chat, secret); got != 429 {
		t.Errorf("and right after that: %d", got)
	}
}
