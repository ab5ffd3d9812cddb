package queen

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/queen/access"
	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
)

// check says whether a queen could start like that, as far as it can be told while
// another runs. It changes nothing.
func check(o Options) error {
	q := &Queen{Options: o}
	if err := q.checkSettings(); err != nil {
		return err
	}
	if _, _, err := q.certificate(); err != nil {
		return err
	}
	if err := q.checkKeysOf(q.Home.Database()); err != nil {
		return err
	}
	return q.checkFree()
}

// checkSettings refuses what no queen could have.
func (q *Queen) checkSettings() error {
	if _, err := schedule.PolicyNamed(q.Policy); err != nil {
		return err
	}
	return q.checkListen()
}

// checkKeysOf is checkKeys by the database of the queen that runs. One that cannot
// be read, as of an older build, is not held against the start, which will tell.
func (q *Queen) checkKeysOf(path string) error {
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: "mode=ro&_pragma=busy_timeout(1000)"}).String())
	if err != nil {
		return fmt.Errorf("open the queen's database: %w", err)
	}
	defer db.Close() //nolint:errcheck // it was only read
	if q.access, err = access.Open(context.Background(), access.Options{DB: db}); err != nil {
		return nil //nolint:nilerr // see above
	}
	if err := q.checkKeys(); err != nil {
		return ops.AsError(err).WithHint("make one by the queen that runs: `rbee key create --name NAME`, and this again")
	}
	return nil
}

// checkFree wants an address that nobody has but the queen that runs.
func (q *Queen) checkFree() error {
	if r, alive, err := daemon.Running(q.Home.PIDFile("queen")); err == nil && alive && portOf(r.Address) == portOf(q.Listen) {
		return nil
	}
	ln, err := bind(q.Listen)
	if err != nil {
		return err
	}
	return ln.Close()
}
