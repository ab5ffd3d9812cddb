package access

import (
	"fmt"
	"slices"
	"strings"

	"rbee.dev/rbee/ops"
)

// open is the scope of what wants no key at all.
const open ops.Scope = "open"

// own is the scope of what any key may do, since it tells of what that key has
// asked for itself and of nothing else.
const own ops.Scope = "own"

// submit is the route by which operations come. What a key must open for that is
// each operation's own (see mayDo), so that it is not asked for twice.
const submit = "POST /v1/jobs"

// fixed are the scopes of the routes that every queen has. A route that is in no
// table is for admin alone; a test holds that there is none.
var fixed = map[string]ops.Scope{
	"GET /health":                 open,
	"HEAD /health":                open,
	submit:                        ops.ScopeJobs, // at least
	"GET /v1/jobs":                ops.ScopeJobs,
	"GET /v1/jobs/:id":            ops.ScopeJobs,
	"DELETE /v1/jobs/:id":         ops.ScopeJobs,
	"GET /v1/jobs/:id/stream":     ops.ScopeJobs,
	"GET /v1/state/stream":        ops.ScopeAdmin, // paths and hosts of every machine
	"POST /v1/shutdown":           ops.ScopeAdmin,
	"POST " + ops.LoginPath:       ops.ScopeAdmin,
	"POST " + ops.EnvironmentPath: ops.ScopeAdmin,
}

// queens are the first names under /v1/ of the queen's own routes; the others
// there are OpenAI's.
var queens = []string{"jobs", "state", "shutdown", "logins", "environment"}

// operations are the scopes of what can be a job. Jobs is for what uses the
// hives as they are; what changes machines, disks or keys is for admin.
var operations = map[string]ops.Scope{
	"status": ops.ScopeJobs, "hive_list": ops.ScopeJobs, "hive_get": ops.ScopeJobs, "hive_status": ops.ScopeJobs,
	"worker_spawn": ops.ScopeJobs, "worker_list": ops.ScopeJobs, "worker_get": ops.ScopeJobs, "worker_delete": ops.ScopeJobs,
	"model_list": ops.ScopeJobs, "model_get": ops.ScopeJobs, "infer": ops.ScopeJobs,
	"model_download": ops.ScopeAdmin, "model_copy": ops.ScopeAdmin, "model_delete": ops.ScopeAdmin,
	"engine_list": ops.ScopeJobs, "engine_install": ops.ScopeAdmin, "engine_remove": ops.ScopeAdmin,
	"model_aliases": ops.ScopeJobs, "model_alias": ops.ScopeAdmin, "model_unalias": ops.ScopeAdmin,
	"explain":   own,
	"model_pin": ops.ScopeAdmin, "model_unpin": ops.ScopeAdmin,
	"queen_drain": ops.ScopeAdmin, "queen_resume": ops.ScopeAdmin, "hive_drain": ops.ScopeAdmin, "hive_resume": ops.ScopeAdmin,
	"ssh_test": ops.ScopeAdmin, "hive_install": ops.ScopeAdmin, "hive_uninstall": ops.ScopeAdmin, "hive_update": ops.ScopeAdmin,
	"hive_start": ops.ScopeAdmin, "hive_stop": ops.ScopeAdmin,
	"key_create": ops.ScopeAdmin, "key_list": ops.ScopeAdmin, "key_revoke": ops.ScopeAdmin, "usage": ops.ScopeAdmin,
}

// Inference notes that a route, as "POST /v1/embeddings", is one for inference.
func (a *Access) Inference(route string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.routes[route] = ops.ScopeInference
}

// IsInference reports whether a path belongs to a route for inference, or could to
// one of OpenAI's API that there is not. A method that no route takes there does
// not matter: who asks speaks that API.
func (a *Access) IsInference(path string) bool {
	if path == "/v1" {
		return true
	}
	if rest, ok := strings.CutPrefix(path, "/v1/"); ok {
		first, _, _ := strings.Cut(rest, "/")
		return !slices.Contains(queens, first)
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	for route := range a.routes {
		_, pattern, _ := strings.Cut(route, " ")
		if beginning, all := strings.CutSuffix(pattern, "*"); pattern == path || all && strings.HasPrefix(path+"/", beginning) {
			return true
		}
	}
	return false
}

// Scope is what a route wants, and whether a table says so.
func (a *Access) Scope(route string) (ops.Scope, bool) {
	if s, ok := fixed[route]; ok {
		return s, true
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	if s, ok := a.routes[route]; ok {
		return s, true
	}
	return ops.ScopeAdmin, false
}

// mayDo refuses operations that a key is not for; named is [Options].Model. A job for a
// worker that names no model is for the one that this runs: the queen, who knows which
// that is, has to refuse where the key is not for it.
func (k *key) mayDo(o ops.Op, named func(string) string) error {
	wants, ok := operations[o.Name()]
	if !ok {
		wants = ops.ScopeAdmin
	}
	spawn, isSpawn := o.(ops.WorkerSpawn)
	if isSpawn && (spawn.Command != "" || len(spawn.Flags) > 0) {
		wants = ops.ScopeAdmin // a command line runs whatever it says on the hive
	}
	if wants != own && !k.opens(wants) {
		return ops.Errorf(ops.CodeDenied, "the API key %s is not for `rbee %s`", k.called(), strings.ReplaceAll(o.Name(), "_", " ")).
			WithHint("it opens %s; this wants a key with --scope %s, or the queen's token", list(k.Scopes), wants)
	}
	if infer, ok := o.(ops.Infer); ok && (infer.Model != "" || infer.WorkerID == "") {
		return k.mayUse(infer.Model, named)
	}
	if isSpawn {
		return k.mayUse(spawn.Model, named)
	}
	if get, ok := o.(ops.ModelGet); ok {
		return k.mayUse(get.ID, named)
	}
	return nil
}

// mayUse refuses models that a key is not for; "" is whichever suits. The name that is
// given, and those that the key was made for, mean what they mean now. What another
// name means is not told.
func (k *key) mayUse(model string, named func(string) string) error {
	if len(k.Models) == 0 || slices.ContainsFunc(k.Models, func(name string) bool { return named(name) == named(model) }) {
		return nil
	}
	e := ops.Errorf(ops.CodeDenied, "the API key %s is not for the model %q", k.called(), model)
	if model == "" {
		e = ops.Errorf(ops.CodeDenied, "the API key %s is for some models only, and the request names none", k.called())
	}
	e.Field = "model"
	return e.WithHint("it may use %s", list(k.Models))
}

// called is what errors call the key: they must not show a secret.
func (k *key) called() string {
	if k.Name == "" {
		return k.ID
	}
	return fmt.Sprintf("%s (%s)", k.ID, k.Name)
}

func list[S ~string](all []S) string {
	text := ""
	for i, s := range all {
		switch {
		case i == 0:
		case i == len(all)-1:
			text += " and "
		default:
			text += ", "
		}
		text += string(s)
	}
	return text
}
