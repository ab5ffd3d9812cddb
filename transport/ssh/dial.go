package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	xssh "golang.org/x/crypto/ssh"

	"rbee.dev/rbee/ops"
)

// Dial connects to a machine, through the jump hosts that are configured for
// it. It ends with ctx or after o.Timeout, whatever the other side does. The
// caller closes the connection.
//
// Its errors have these codes: invalid (the target or a configuration file),
// unavailable (no such name, refused, cut), timeout, cancelled, denied (a host
// key or the login; see [UnknownHostKey], [NeedsPassphrase] and
// [NeedsPassword]), unsupported (a ProxyCommand, no common algorithm).
func Dial(ctx context.Context, t Target, o Options) (*Conn, error) {
	o = o.withDefaults()
	hops, notes, err := Resolve(t, o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	d := &dialer{options: o}
	if err := d.dial(ctx, hops); err != nil {
		return nil, withNotes(err, notes)
	}
	return newConn(d, hops[len(hops)-1]), nil
}

// withNotes adds to the hint what was passed over in the configuration: it
// may be what is missing.
func withNotes(err error, notes []string) error {
	e, ok := errors.AsType[*ops.Error](err)
	if !ok || len(notes) == 0 {
		return err
	}
	return e.WithHint("%s (%s)", e.Hint, strings.Join(notes, "; "))
}

// dialer makes a chain of connections, each through the one before.
type dialer struct {
	options Options
	base    *liveConn      // the one real connection
	clients []*xssh.Client // in order; the last is the machine
}

func (d *dialer) dial(ctx context.Context, hops []Hop) error {
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", hops[0].Address())
	if err != nil {
		return atHop(hops, 0, errReach(ctx, hops[0], err))
	}
	d.base = &liveConn{Conn: raw}
	d.base.heard()
	// Channels have no deadlines, and the library's handshake has none either:
	// closing the real connection ends whatever waits for it, at every hop.
	stop := context.AfterFunc(ctx, func() { _ = d.base.Close() })
	defer stop()
	for i, hop := range hops {
		if err := d.hop(ctx, hop); err != nil {
			d.close()
			return atHop(hops, i, err)
		}
	}
	if !stop() {
		d.close()
		return errContext(ctx, "reach", hops[len(hops)-1].Address())
	}
	return nil
}

// atHop says so where it is a jump host that failed.
func atHop(hops []Hop, i int, err error) error {
	e, ok := errors.AsType[*ops.Error](err)
	if !ok || i == len(hops)-1 {
		return err
	}
	wrapped := ops.Errorf(e.Code, "at the jump host %s: %w", hops[i].Name, err)
	return wrapped.WithHint("%s", e.Hint)
}

// hop adds a connection to the chain.
func (d *dialer) hop(ctx context.Context, hop Hop) error {
	var under net.Conn = d.base
	if n := len(d.clients); n > 0 {
		var err error
		if under, err = d.clients[n-1].Dial("tcp", hop.Address()); err != nil {
			return errReach(ctx, hop, err)
		}
	}
	keys, err := newHostKeys(hop, d.options)
	if err != nil {
		_ = under.Close()
		return err
	}
	login := newAuth(ctx, hop, d.options)
	defer login.close()
	c, channels, requests, err := xssh.NewClientConn(under, hop.Address(), &xssh.ClientConfig{
		User:              hop.User,
		Auth:              login.methods(),
		AuthCallback:      login.observe,
		HostKeyCallback:   keys.check,
		HostKeyAlgorithms: keys.algorithms(),
		ClientVersion:     "SSH-2.0-rbee",
	})
	if err != nil {
		_ = under.Close()
		return handshakeError(ctx, hop, keys, login, err)
	}
	d.clients = append(d.clients, xssh.NewClient(c, channels, requests))
	return nil
}

func handshakeError(ctx context.Context, hop Hop, keys *hostKeys, login *auth, err error) error {
	_, locked := errors.AsType[*NeedsPassphrase](err)
	switch {
	case keys.err != nil:
		return keys.err
	// There is no type for this one either.
	case ctx.Err() == nil && (locked || strings.Contains(err.Error(), "unable to authenticate")):
		return login.errAuth()
	}
	return errHandshake(ctx, hop, err)
}

// close takes the chain down and waits until its readers have ended.
func (d *dialer) close() {
	for _, c := range slices.Backward(d.clients) {
		_ = c.Close()
	}
	_ = d.base.Close()
	for _, c := range d.clients {
		_ = c.Wait()
	}
}

// label names the machine in messages.
func (d *dialer) label(hop Hop) string {
	if hop.Name != hop.Host {
		return fmt.Sprintf("%s (%s)", hop.Name, hop)
	}
	return hop.String()
}
