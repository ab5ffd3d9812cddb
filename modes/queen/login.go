package queen

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
)

// keptFor is how long a connection that a login opened waits for its operation.
const keptFor = 2 * time.Minute

// logins keeps the connections that a person has opened, each for the next
// operation on its machine.
type logins struct {
	mu   sync.Mutex
	kept map[ssh.Target]*kept
}

type kept struct {
	conn  *ssh.Conn
	timer *time.Timer
}

// keep takes a connection in; one kept before for the same target is closed.
func (l *logins) keep(t ssh.Target, c *ssh.Conn) {
	old := l.put(t, &kept{conn: c, timer: time.AfterFunc(keptFor, func() {
		if c := l.take(t); c != nil {
			_ = c.Close() // nobody wanted it
		}
	})})
	if old != nil {
		old.timer.Stop()
		_ = old.conn.Close()
	}
}

func (l *logins) put(t ssh.Target, k *kept) (old *kept) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept == nil {
		l.kept = map[ssh.Target]*kept{}
	}
	old = l.kept[t]
	l.kept[t] = k
	return old
}

// take returns the connection kept for t, or nil, and keeps it no longer.
func (l *logins) take(t ssh.Target) *ssh.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kept[t]
	delete(l.kept, t)
	if k == nil {
		return nil
	}
	k.timer.Stop()
	select {
	case <-k.conn.Done(): // the machine hung up meanwhile
		_ = k.conn.Close()
		return nil
	default:
		return k.conn
	}
}

// close gives all of them up.
func (l *logins) close() {
	l.mu.Lock()
	all := l.kept
	l.kept = nil
	l.mu.Unlock()
	for _, k := range all {
		k.timer.Stop()
		_ = k.conn.Close()
	}
}

// connect returns a connection to t: the one that a login has opened, else a new
// one with what the queen's account has itself.
func (q *Queen) connect(ctx context.Context, t ssh.Target) (*ssh.Conn, error) {
	if c := q.logins.take(t); c != nil {
		return c, nil
	}
	ops.Narrate(ctx, "ssh_connect", "connecting to %s", t)
	return ssh.Dial(ctx, t, q.sshOptions())
}

// sshOptions is how the queen reaches machines with nobody's help.
func (q *Queen) sshOptions() ssh.Options {
	return ssh.Options{Keys: []*ssh.Key{q.key}}
}

// serveLogin answers POST [ops.LoginPath].
func (q *Queen) serveLogin(w http.ResponseWriter, r *http.Request) {
	serveSecret(w, r, "a login", q.login)
}

// login connects with what the person gave, and keeps the connection. What is
// still missing is no error but an answer.
func (q *Queen) login(ctx context.Context, l ops.Login) (ops.LoggedIn, error) {
	t, err := q.loginTarget(l)
	if err != nil {
		return ops.LoggedIn{}, err
	}
	h := q.hives.remote(l.HiveID)
	if h != nil {
		if state, _ := h.link.State(); state.Up { // a working connection is not replaced
			return ops.LoggedIn{Host: h.now().address()}, nil
		}
	}
	o := q.sshOptions()
	hops, _, err := ssh.Resolve(t, o)
	if err != nil {
		return ops.LoggedIn{}, err
	}
	account := hops[len(hops)-1].String()
	o.AcceptNewHostKey, o.AcceptFingerprint = l.AcceptNewHostKey, l.Fingerprint
	o.Secrets = ssh.Secrets{Passphrases: l.Passphrases, Passwords: l.Passwords}
	answer := ops.LoggedIn{Host: account}
	conn, err := ssh.Dial(ctx, t, o)
	if err != nil {
		answer.Needs, answer.Of = needs(err)
		if answer.Needs == "" {
			return answer, err
		}
		answer.Error = ops.AsError(err)
		return answer, nil
	}
	if h != nil {
		h.link.Use(conn)
		return answer, nil
	}
	q.logins.keep(t, conn)
	return answer, nil
}

// loginTarget is the machine that the login names, or the one of its hive.
func (q *Queen) loginTarget(l ops.Login) (ssh.Target, error) {
	if l.SSHHost != "" || l.HiveID == "" {
		return targetOf(l.SSHAddress)
	}
	id, err := q.hive(l.HiveID)
	if err != nil {
		return ssh.Target{}, err
	}
	h := q.hives.remote(id)
	if h == nil {
		return ssh.Target{}, ops.Invalid("hive_id", "%s is the queen's own machine, which wants no login", id)
	}
	return h.now().target(), nil
}

// needs tells what a person can add to a login that failed with err.
func needs(err error) (what, of string) {
	if e, ok := errors.AsType[*ssh.UnknownHostKey](err); ok {
		return ops.NeedHostKey, e.Fingerprint
	}
	if e, ok := errors.AsType[*ssh.NeedsPassphrase](err); ok {
		return ops.NeedPassphrase, e.Path
	}
	if e, ok := errors.AsType[*ssh.NeedsPassword](err); ok {
		return ops.NeedPassword, e.Account
	}
	return "", ""
}
