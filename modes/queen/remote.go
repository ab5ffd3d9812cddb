package queen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/modes/queen/install"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
	"rbee.dev/rbee/transport/ssh"
)

const (
	// linkPatience is how long a job whose stream was lost waits for the machine
	// to be reached again; the link may be cut for minutes.
	linkPatience = 5 * time.Minute
	// reachWithin is how long new work waits for a machine that is being
	// reached.
	reachWithin = 15 * time.Second
	// reviveAfter is how long a hive may be missing on a machine that is reached
	// until the queen starts it.
	reviveAfter = 8 * time.Second
)

// remoteHive is a hive on another machine, reached through one SSH connection.
type remoteHive struct {
	id   string
	link *ssh.Link
	log  zerolog.Logger
	poke chan struct{} // holds a token when the watch has reason to look now

	// changing is held by who changes the hive on its machine.
	changing sync.Mutex

	mu      sync.Mutex
	record  record
	missing time.Time // since when no hive answers on a machine that is reached
	revived time.Time // when starting it was last tried

	raw, client *transport.Client
}

// newRemoteHive makes the hive of a record; link is its machine's.
func newRemoteHive(id string, r record, link *ssh.Link, log zerolog.Logger) *remoteHive {
	h := &remoteHive{id: id, link: link, record: r, poke: make(chan struct{}, 1), log: log.With().Str("hive", id).Logger()}
	options := transport.Options{
		Name: "the hive " + id, Silence: hungAfter, Answer: hearWithin,
		HungHint: fmt.Sprintf("`rbee hive start %s` ends it and starts another; its workers and their answers go on", id),
		Reaches: func(ctx context.Context) bool {
			ctx, cancel := context.WithTimeout(ctx, hearWithin)
			defer cancel()
			return link.Lives(ctx)
		},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return link.DialContext(ctx, h.now().Site.Socket())
		},
		OnLost: func(ctx context.Context, err error) {
			ops.Warn(ctx, "hive_lost", "lost the hive %s, taking the job up again: %v", id, err)
		},
	}
	h.raw = transport.New(options)
	options.Patience = linkPatience
	h.client = transport.New(options)
	return h
}

// now is the hive's record as it stands.
func (h *remoteHive) now() record {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.record
}

// change changes the record.
func (h *remoteHive) change(f func(*record)) record {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(&h.record)
	return h.record
}

// look has the watch look now.
func (h *remoteHive) look() {
	select {
	case h.poke <- struct{}{}:
	default:
	}
}

// jobs outlasts a lost link.
func (h *remoteHive) jobs() *transport.Client { return h.client }

// direct fails with the link.
func (h *remoteHive) direct() *transport.Client { return h.raw }

// Close gives the link up.
func (h *remoteHive) Close() {
	h.raw.Close()
	h.client.Close()
	_ = h.link.Close() // it has no error
}

// ensure returns when the hive answers. A machine that was not reached lately is
// tried at once; a job that had begun there waits for as long as its stream
// would.
func (h *remoteHive) ensure(ctx context.Context) error {
	if h.now().Stopped {
		return stopped(h.id)
	}
	patience := reachWithin
	if s := ops.SinkOf(ctx); s != nil && s.Cursor().Target == h.id {
		patience = linkPatience
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		_, err := h.link.Reconnect(bounded)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil:
			return h.answering(bounded)
		case patience < linkPatience || bounded.Err() != nil:
			return h.down(err)
		}
		pause(bounded, time.Second)
	}
}

// answering returns when the hive itself answers, which it may take a moment to
// do after a restart.
func (h *remoteHive) answering(ctx context.Context) error {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		_, err := health(ctx, h.raw)
		if err == nil {
			h.look()
			return nil
		}
		if pause(ctx, wait); ctx.Err() != nil {
			return h.down(err)
		}
		if err := h.revive(ctx); err != nil {
			return h.down(err)
		}
	}
}

func (h *remoteHive) down(why error) error {
	e := ops.Errorf(ops.CodeUnavailable, "the hive %s is down", h.id)
	hint := fmt.Sprintf("`rbee hive get %s` tells more, `rbee hive start %s` starts it where its machine is there", h.id, h.id)
	if why != nil {
		e = ops.Errorf(ops.CodeUnavailable, "the hive %s is down: %w", h.id, why)
		if hinted, ok := errors.AsType[*ops.Error](why); ok && hinted.Hint != "" {
			hint = hinted.Hint
		}
	}
	return e.WithHint("%s", hint)
}

// why tells a person why the hive is down, now that its stream ended with err.
func (h *remoteHive) why(err error) string {
	switch {
	case h.now().Stopped:
		return "stopped by `rbee hive stop`"
	case h.linkError() != nil:
		return h.linkError().Error()
	case err != nil:
		return whyDown(err)
	}
	return "it ended"
}

// linkError is why the machine is not reached, or nil.
func (h *remoteHive) linkError() error {
	state, _ := h.link.State()
	return state.Err
}

// revive starts the hive's service when the machine is reached and no hive has
// answered there for a while, as after the machine's restart. It does so now and
// then only: a service manager over there does the same, and better.
func (h *remoteHive) revive(ctx context.Context) error {
	if h.linkError() != nil || !h.changing.TryLock() {
		return nil
	}
	defer h.changing.Unlock()
	if _, err := health(ctx, h.raw); err == nil {
		h.mu.Lock()
		h.missing = time.Time{}
		h.mu.Unlock()
		return nil
	}
	if !h.due() {
		return nil
	}
	s, err := h.service(ctx)
	if err != nil {
		return err
	}
	h.log.Warn().Msg("the machine is there and its hive is not: starting it")
	_, err = s.Start(ctx)
	return err
}

// due notes that no hive answers, and reports whether it is time to start one.
func (h *remoteHive) due() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.missing.IsZero() {
		h.missing = time.Now()
	}
	if h.record.Stopped || time.Since(h.missing) < reviveAfter || time.Since(h.revived) < 3*reviveAfter {
		return false
	}
	h.revived = time.Now()
	return true
}

// service is the hive as a service of its machine, over the standing link.
func (h *remoteHive) service(ctx context.Context) (install.Service, error) {
	conn, err := h.link.Conn(ctx)
	if err != nil {
		return install.Service{}, err
	}
	r := h.now()
	return install.Service{Shell: conn, Site: r.Site, Name: h.id, Listen: r.Listen}, nil
}
