package access

import (
	"cmp"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestEveryOperationHasAScope(t *testing.T) {
	left := maps.Clone(operations)
	for _, o := range ops.All() {
		if _, ok := operations[o.Name()]; !ok {
			t.Errorf("%s has no scope: say in scope.go who may do it", o.Name())
		}
		delete(left, o.Name())
	}
	if len(left) > 0 {
		t.Errorf("scopes of what is no operation: %v", left)
	}
}

func TestAKeyForJobsDoesWhatItsScopesAndModelsSay(t *testing.T) {
	jobs := newKey(ops.Key{ID: "k1", Scopes: []ops.Scope{ops.ScopeJobs}}, digest{})
	one := newKey(ops.Key{ID: "k2", Name: "one", Scopes: []ops.Scope{ops.ScopeJobs}, Models: []string{"bee", "wasp"}}, digest{})
	quick := newKey(ops.Key{ID: "k4", Scopes: []ops.Scope{ops.ScopeJobs}, Models: []string{"fast"}}, digest{})
	admin := newKey(ops.Key{ID: "k3", Scopes: []ops.Scope{ops.ScopeAdmin}}, digest{})
	for name, tt := range map[string]struct {
		key *key
		o   ops.Op
		ok  bool
	}{
		"text":                               {jobs, ops.Infer{Prompt: "a"}, true},
		"text of its model":                  {one, ops.Infer{Prompt: "a", Model: "bee"}, true},
		"text of its model, by another name": {one, ops.Infer{Prompt: "a", Model: "fast"}, true},
		"text of another by another name":    {one, ops.Infer{Prompt: "a", Model: "slow"}, false},
		"text of an alias":                   {quick, ops.Infer{Prompt: "a", Model: "fast"}, true},
		"text of what that means":            {quick, ops.Infer{Prompt: "a", Model: "bee"}, true},
		"text of another alias":              {quick, ops.Infer{Prompt: "a", Model: "slow"}, false},
		"a look at its model":                {one, ops.ModelGet{ID: "fast"}, true},
		"a look at another":                  {one, ops.ModelGet{ID: "hornet"}, false},
		"text of another":                    {one, ops.Infer{Prompt: "a", Model: "hornet"}, false},
		"text of whichever":                  {one, ops.Infer{Prompt: "a"}, false},
		"text of a worker's model":           {one, ops.Infer{Prompt: "a", WorkerID: "w1"}, true}, // the queen, who knows which that is, hides others
		"text of another, by a worker":       {one, ops.Infer{Prompt: "a", WorkerID: "w1", Model: "hornet"}, false},
		"the whole picture":                  {jobs, ops.Status{}, true},
		"a worker":                           {jobs, ops.WorkerSpawn{Model: "bee"}, true},
		"a worker of another model":          {one, ops.WorkerSpawn{Model: "hornet"}, false},
		"a worker by a command line":         {jobs, ops.WorkerSpawn{Engine: "command", Command: "sh"}, false},
		"a worker with flags":                {jobs, ops.WorkerSpawn{Flags: []string{"log-file=/etc/passwd"}}, false},
		"a download":                         {jobs, ops.ModelDownload{Model: "/etc/shadow"}, false},
		"another machine":                    {jobs, ops.HiveInstall{}, false},
		"a key of its own making":            {jobs, ops.KeyCreate{Scopes: []ops.Scope{ops.ScopeAdmin}}, false},
		"admin: a key":                       {admin, ops.KeyCreate{}, true},
		"admin: a worker with a command":     {admin, ops.WorkerSpawn{Engine: "command", Command: "sh"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.key.mayDo(tt.o, func(m string) string { return cmp.Or(map[string]string{"fast": "bee", "slow": "hornet"}[m], m) })
			if (err == nil) != tt.ok {
				t.Errorf("%v", err)
			}
			if e := ops.AsError(err); e != nil && (e.Code != ops.CodeDenied || e.Hint == "" || !strings.Contains(e.Message, tt.key.ID)) {
				t.Errorf("the error %+v", e)
			}
		})
	}
}

func TestAKeyIsToldTheScopeThatTheOperationWants(t *testing.T) {
	o := newOffice(t)
	for _, tt := range []struct {
		has  ops.Scope
		o    ops.Op
		want string // "" lets it in
	}{
		{ops.ScopeInference, ops.Status{}, "--scope jobs,"},
		{ops.ScopeInference, ops.Infer{Prompt: "a"}, "--scope jobs,"},
		{ops.ScopeInference, ops.KeyList{}, "--scope admin,"},
		{ops.ScopeJobs, ops.Usage{}, "--scope admin,"},
		{ops.ScopeJobs, ops.Explain{ID: "a"}, ""}, // of its own
		{ops.ScopeInference, ops.Explain{ID: "a"}, ""},
		{ops.ScopeJobs, ops.Status{}, ""},
		{ops.ScopeAdmin, ops.KeyList{}, ""},
	} {
		_, secret := o.key(ops.KeyCreate{Scopes: []ops.Scope{tt.has}})
		status, text := o.submit(tt.o, secret)
		if tt.want == "" && status != http.StatusAccepted || tt.want != "" && (status != http.StatusForbidden || !strings.Contains(text, tt.want)) {
			t.Errorf("a key for %s does %s: %d %s, want %q", tt.has, tt.o.Name(), status, text, tt.want)
		}
	}
}

func TestPathsOfInferenceAreKnownWithTheirPatterns(t *testing.T) {
	o := newOffice(t)
	for path, want := range map[string]bool{
		"/v1/chat/completions": true, "/v1/models": true, "/v1/models/a/b": true, "/v1/jobs": false, "/v1/modelsx": true, "/": false, "/v1/chat": true, // so asks who takes us for OpenAI
		"/v1/jobs/x": false, "/v1/state/stream": false, "/v1/logins": false, "/health": false,
		"/api": true, "/api/chat": true, "/apis": false,
	} {
		if got := o.IsInference(httptest.NewRequest("GET", path, nil).URL.Path); got != want {
			t.Errorf("%s is for inference: %t", path, got)
		}
	}
}

func TestListsAreToldAsAPersonWould(t *testing.T) {
	for want, all := range map[string][]string{"": nil, "a": {"a"}, "a and b": {"a", "b"}, "a, b and c": {"a", "b", "c"}} {
		if got := list(slices.Clone(all)); got != want {
			t.Errorf("%q is %q", all, got)
		}
	}
}

func TestAKeyIsToldOfWhatItHasAskedItselfOnly(t *testing.T) {
	o := newOffice(t)
	jobs, _ := o.key(ops.KeyCreate{Label: "laptop", Scopes: []ops.Scope{ops.ScopeJobs}})
	admin, _ := o.key(ops.KeyCreate{Scopes: []ops.Scope{ops.ScopeAdmin}})
	for _, tt := range []struct {
		by, client string
		want       bool
	}{
		{"", "127.0.0.1", true},
		{"", jobs.ID, true},
		{admin.ID, jobs.ID, true},
		{admin.ID, "token", true},
		{jobs.ID, jobs.ID, true},
		{jobs.ID, admin.ID, false},
		{jobs.ID, "token", false},
		{jobs.ID, "", false},
		{"kforgotten", jobs.ID, false},
	} {
		if got := o.Sees(tt.by, tt.client); got != tt.want {
			t.Errorf("%q is told of what %q has asked: %t", tt.by, tt.client, got)
		}
	}
	if o.NameOf(jobs.ID) != "laptop" || o.NameOf(admin.ID) != "key-1" || o.NameOf("127.0.0.1") != "" {
		t.Error("keys are not called by their names")
	}
}

// TestAKeyForAnAliasIsForWhatThatMeansNow: and shows the name that was given.
func TestAKeyForAnAliasIsForWhatThatMeansNow(t *testing.T) {
	o := newOffice(t)
	meant := map[string]string{"fast": "bee"}
	o.Model = func(name string) string { return cmp.Or(meant[name], name) }
	k, _ := o.key(ops.KeyCreate{Models: []string{"fast", "fast"}})
	if !slices.Equal(k.Models, []string{"fast"}) {
		t.Errorf("it is for %q", k.Models)
	}
	for _, now := range []string{"bee", "hornet"} {
		meant["fast"] = now
		for _, model := range []string{"bee", "hornet"} {
			if err := o.Guest(k.ID).May(model); (err == nil) != (model == now) {
				t.Errorf("where it means %s, %s: %v", now, model, err)
			}
		}
	}
}
