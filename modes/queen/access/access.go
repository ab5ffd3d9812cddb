package access

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
)

// Options say what an [Access] works with.
type Options struct {
	// DB has the tables keys and usage; it is closed by whoever opened it.
	DB *sql.DB
	// Token is the queen's bearer token, which opens everything.
	Token string
	// Model is the own name of a model that may be called by another one; nil
	// says that there are no other names.
	Model func(name string) string
	// Models are the names that models have now, the other ones too; nil says that
	// there are none.
	Models func() []string
	// There reports whether requests for the model of that name are answered now; nil
	// says so of all Models.
	There func(name string) bool
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Access says who may use the queen.
type Access struct {
	Options
	token  digest
	keys   keys
	ledger ledger

	mu     sync.RWMutex
	routes map[string]ops.Scope // of the routes that were mounted, beside the fixed ones
}

// Open reads the keys.
func Open(ctx context.Context, o Options) (*Access, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Model == nil {
		o.Model = func(name string) string { return name }
	}
	if o.Models == nil {
		o.Models = func() []string { return nil }
	}
	if o.There == nil {
		o.There = func(name string) bool { return slices.Contains(o.Models(), name) }
	}
	a := &Access{Options: o, token: digestOf(o.Token), routes: map[string]ops.Scope{}}
	all, err := loadKeys(ctx, o.DB)
	if err != nil {
		return nil, err
	}
	a.keys.set(all)
	return a, nil
}

// Write writes down what was counted since it was called last.
func (a *Access) Write(ctx context.Context) error {
	return errors.Join(a.ledger.write(ctx, a.DB, a.Now()), a.keys.saveUse(ctx, a.DB))
}
