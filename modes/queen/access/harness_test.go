package access

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	_ "modernc.org/sqlite" // the database driver "sqlite"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
)

// office is an Access with a database of its own and a clock that stands.
type office struct {
	*Access
	t    *testing.T
	path string
	now  time.Time
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, path: filepath.Join(t.TempDir(), "queen.db"), now: time.Date(2026, 11, 25, 12, 30, 0, 0, time.UTC)}
	db := o.open()
	for _, file := range []string{"003_keys.sql", "006_rates.sql", "007_minutes.sql"} {
		schema, err := os.ReadFile("../migrations/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), string(schema)); err != nil {
			t.Fatal(err)
		}
	}
	o.reopen()
	return o
}

func (o *office) open() *sql.DB {
	o.t.Helper()
	db, err := sql.Open("sqlite", o.path)
	if err != nil {
		o.t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	o.t.Cleanup(func() { _ = db.Close() })
	return db
}

// reopen is a restart of the queen.
func (o *office) reopen() {
	o.t.Helper()
	a, err := Open(o.t.Context(), Options{DB: o.open(), Token: "the-token", Models: func() []string { return []string{"bee", "hornet"} }, Now: func() time.Time { return o.now }})
	if err != nil {
		o.t.Fatal(err)
	}
	a.Inference("POST /v1/chat/completions")
	a.Inference("GET /v1/models")
	a.Inference("GET /v1/models/*")
	a.Inference("GET /api/*")
	o.Access = a
}

// key makes a key and returns it with its secret.
func (o *office) key(k ops.KeyCreate) (ops.Key, string) {
	o.t.Helper()
	secret := ops.NewKeySecret()
	k.Digest = ops.KeyDigest(secret)
	made, err := o.Create(o.t.Context(), k)
	if err != nil {
		o.t.Fatal(err)
	}
	return made, secret
}

// submit submits an operation with a secret to a server of jobs, which does nothing,
// and returns what that answers.
func (o *office) submit(op ops.Op, secret string) (status int, text string) {
	o.t.Helper()
	server, err := job.NewServer(job.Options[ops.Op]{
		Mode: "queen", Dir: o.t.TempDir(), Log: zerolog.Nop(), Run: func(context.Context, ops.Op) (any, error) { return nil, nil },
		Admit: func(r *http.Request, route string) (*http.Request, error) {
			r.RemoteAddr = "127.0.0.1:50000"
			return o.Admit(r, route)
		},
	})
	if err != nil {
		o.t.Fatal(err)
	}
	body, err := ops.Encode(op, "")
	if err != nil {
		o.t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:7833/v1/jobs", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+secret)
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	if err := server.Stop(o.t.Context()); err != nil {
		o.t.Error(err)
	}
	return w.Code, w.Body.String()
}

// request is one that a program of this machine sends.
func request(route string, header ...string) *http.Request {
	method, path, _ := strings.Cut(route, " ")
	r := httptest.NewRequest(method, "http://127.0.0.1:7833"+path, http.NoBody)
	r.RemoteAddr = "127.0.0.1:50000"
	for i := 0; i < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	return r
}

// ask sends a request for a route with a secret and returns the status that it
// would get: 200 when it is let in.
func (o *office) ask(route, secret string) (int, error) {
	o.t.Helper()
	_, err := o.Admit(request(route, "Authorization", "Bearer "+secret), route)
	return status(err), err
}

func status(err error) int {
	if err == nil {
		return http.StatusOK
	}
	if r, ok := errors.AsType[job.Refusal](err); ok {
		return r.Status
	}
	return ops.CodeOf(err).HTTPStatus()
}
