package access

import (
	"crypto/subtle"
	"math"
	"net"
	"net/http"
	"strings"
	"time"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/modes/queen/gateway"
	"rbee.dev/rbee/ops"
)

// Admit says whether a request may use the route that it is for, and returns it
// with whose it is in its context: for jobs as [job.Caller], for inference as
// [gateway.Guest]. It is [job.Options].Admit.
func (a *Access) Admit(r *http.Request, route string) (*http.Request, error) {
	scope, _ := a.Scope(route)
	if scope == open {
		return r, nil
	}
	secret := secretOf(r)
	sum := digestOf(secret)
	if subtle.ConstantTimeCompare(sum[:], a.token[:]) == 1 {
		return a.as(r, nil, ops.ByToken), nil
	}
	if scope == ops.ScopeInference && a.keys.none() && isOwn(r) {
		return a.as(r, nil, ops.ByNone), nil // clients send something in place of a key
	}
	k := a.keys.find(sum)
	if err := a.check(k, secret, scope); err != nil {
		return nil, err
	}
	switch {
	case k.opens(scope):
	case route == submit:
		return a.as(r, k, k.ID), nil // it will be told which scope its operation wants
	default:
		return nil, ops.Errorf(ops.CodeDenied, "the API key %s is not for %s", k.called(), scope).
			WithHint("it opens %s; this wants a key with --scope %s, or the queen's token", list(k.Scopes), scope)
	}
	k.used.Store(a.Now().UnixMilli())
	if r.Method == http.MethodPost && route != submit { // where it depends on the operation
		if err := k.counts(a.Now()); err != nil {
			return nil, err
		}
	}
	return a.as(r, k, k.ID), nil
}

// counts counts a request, or refuses it where the key has none left.
func (k *key) counts(now time.Time) error {
	held, wait := k.requests.hold(now, 1)
	if wait > 0 {
		return job.Refusal{Status: http.StatusTooManyRequests, After: wait, Failure: k.usedUp("requests", k.RequestsPerMinute, wait)}
	}
	k.requests.settle(now, held, held)
	return nil
}

// usedUp is the error of a key that has nothing left of one of its rates. A request
// may use more than is left, which those after it wait for.
func (k *key) usedUp(of string, perMinute int, wait time.Duration) *ops.Error {
	return ops.Errorf(ops.CodeBusy, "the API key %s has used up its %s, which are %d a minute", k.called(), of, perMinute).
		WithHint("try again in %.0f s", math.Ceil(wait.Seconds()))
}

// check refuses a key that is not known or not taken any more; scope is what
// there should be one for.
func (a *Access) check(k *key, secret string, scope ops.Scope) error {
	message, hint := "", "`rbee key list` shows the keys, `rbee key create` makes one: on the queen's machine, without --token and RBEE_TOKEN"
	switch {
	case secret == "" && scope == ops.ScopeInference:
		message, hint = "an API key is wanted", "send \"Authorization: Bearer KEY\" or \"x-api-key: KEY\" (rbee: --token or RBEE_TOKEN); `rbee key create` makes one on the queen's machine"
	case secret == "":
		message, hint = "a bearer token is wanted", "send \"Authorization: Bearer TOKEN\" (rbee: --token or RBEE_TOKEN); `rbee queen token` prints it on the queen's machine"
	case k == nil:
		message = "neither an API key nor the token of this queen"
	case k.state(a.Now()) == ops.KeyExpired:
		message = "the API key " + k.called() + " has expired"
	case k.state(a.Now()) == ops.KeyRevoked:
		message = "the API key " + k.called() + " was revoked"
	default:
		return nil
	}
	return job.Refusal{Status: http.StatusUnauthorized, Failure: ops.Errorf(ops.CodeDenied, "%s", message).WithHint("%s", hint)}
}

// as returns the request of k, or of who has none.
func (a *Access) as(r *http.Request, k *key, id string) *http.Request {
	ctx := r.Context()
	caller := job.Caller{}
	if k != nil {
		caller = job.Caller{ID: id, Own: !k.opens(ops.ScopeAdmin), May: func(o ops.Op) error {
			if err := k.mayDo(o, a.Model); err != nil || ops.IsLookup(o.Name()) { // looking is free
				return err
			}
			return k.counts(a.Now())
		}}
	}
	if id != ops.ByNone { // whose requests take turns by the machines they come from
		ctx = gateway.WithClient(ctx, id)
	}
	return r.WithContext(gateway.WithGuest(job.WithCaller(ctx, caller), &guest{access: a, key: k, id: id}))
}

// secretOf is the token or key that a request brings: as OpenAI's clients send
// it, or as Anthropic's do.
func secretOf(r *http.Request) string {
	if scheme, given, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(given)
	}
	return r.Header.Get("X-Api-Key")
}

// isOwn reports whether a program of this machine has sent the request: it came
// over loopback, to a loopback name, and nobody has passed it on.
func isOwn(r *http.Request) bool {
	for _, passed := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"} {
		if r.Header.Get(passed) != "" {
			return false
		}
	}
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && isLoopback(from) && isLoopback(hostOf(r.Host))
}

func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return strings.Trim(address, "[]")
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
