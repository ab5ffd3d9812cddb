package access

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/rs/zerolog"

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
	// Now is the clock; nil is the system's.
	Now func() time.Time
	// Log is for operators.
	Log zerolog.Logger
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
	a := &Access{Options: o, token: digestOf(o.Token), routes: map[string]ops.Scope{}}
	all, err := loadKeys(ctx, o.DB)
	if err != nil {
		return nil, err
	}
	a.keys.set(all)
	return a, nil
}

// writeEvery is how often what was counted is written to the database.
const writeEvery = 10 * time.Second

// Run writes down what was counted, now and then, and a last time when ctx ends.
func (a *Access) Run(ctx context.Context) {
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-tick.C:
		}
		if err := a.write(context.WithoutCancel(ctx)); err != nil {
			a.Log.Warn().Err(err).Msg("what the keys have used is not written down yet")
		}
	}
}

func (a *Access) write(ctx context.Context) error {
	if err := a.ledger.write(ctx, a.DB, a.Now()); err != nil {
		return err
	}
	return a.keys.saveUse(ctx, a.DB)
}
