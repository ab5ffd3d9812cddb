package queen

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/modes/queen/install"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// startWithin is how long a hive may take from its start to its first answer.
const startWithin = 20 * time.Second

// hungAfter is how long a hive that runs may say nothing at all before it is shown
// as down: two of its heartbeats, and some more.
const hungAfter = 35 * time.Second

// hearWithin is how long a hive that runs may take to answer.
const hearWithin = 5 * time.Second

// hearAgainWithin is how long one may that was found to hang.
const hearAgainWithin = time.Second

// hungHint is what to do about the hive of this machine where it hangs.
const hungHint = "`rbee hive start` ends it and starts another, and so does `rbee queen restart`; its workers and their answers go on"

// localHive is the hive on the queen's own machine: a process that is started
// when it is first needed, and again when it dies.
type localHive struct {
	home   home.Home
	binary string // what the hive is started from
	build  string // the queen's own build, which the hive should have
	idle   string // its idle timeout; "" is its own
	log    zerolog.Logger

	// raw speaks to the hive that runs; client starts one first.
	raw, client *transport.Client

	starting chan struct{} // holds one token: who has it may start the hive
	came     chan struct{} // holds a token when a hive was found to answer

	mu      sync.Mutex
	down    bool    // the hive must not be started
	hangs   int     // the process that was found to hang, or 0
	service *record // where the hive is a service of its own
}

func newLocalHive(h home.Home, binary, build string, log zerolog.Logger) *localHive {
	l := &localHive{
		home: h, binary: binary, build: build, log: log,
		starting: make(chan struct{}, 1), came: make(chan struct{}, 1),
	}
	options := transport.Unix(h.HiveSocket())
	options.Name, options.Silence = "the hive "+ops.LocalHive, hungAfter
	options.Answer, options.HungHint = hearWithin, hungHint
	options.OnLost = func(ctx context.Context, err error) {
		ops.Warn(ctx, "hive_lost", "lost the hive %s, taking the job up again: %v", ops.LocalHive, err)
	}
	l.raw = transport.New(options)
	dial := options.DialContext
	// Every connection makes sure that there is a hive, so that a stream that
	// lost its hive finds the next one by reconnecting.
	options.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if c, err := dial(ctx, network, address); err == nil {
			return c, nil
		}
		if err := l.ensure(ctx); err != nil {
			return nil, err
		}
		return dial(ctx, network, address)
	}
	l.client = transport.New(options)
	return l
}

// jobs starts the hive where none runs.
func (l *localHive) jobs() *transport.Client { return l.client }

// direct speaks to the hive that runs.
func (l *localHive) direct() *transport.Client { return l.raw }

// Close gives the connections up.
func (l *localHive) Close() {
	l.raw.Close()
	l.client.Close()
}

// ensure returns when the hive answers, after starting it where it did not. The
// watch is told, which may not look again for seconds by itself.
func (l *localHive) ensure(ctx context.Context) error {
	err := l.answering(ctx)
	if err == nil {
		select {
		case l.came <- struct{}{}:
		default:
		}
	}
	return err
}

func (l *localHive) answering(ctx context.Context) error {
	if up, err := l.isUp(ctx); up || err != nil {
		return err
	}
	select {
	case l.starting <- struct{}{}:
		defer func() { <-l.starting }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if up, err := l.isUp(ctx); up || err != nil { // another one started it meanwhile
		return err
	}
	if l.isStopped() {
		return stopped(ops.LocalHive)
	}
	err := l.start(ctx)
	if errors.Is(err, errKilled) && ctx.Err() == nil {
		ops.Warn(ctx, "hive_killed", "%v; starting it once more", err)
		err = l.start(ctx)
	}
	return err
}

// isUp reports whether the hive answers. Its error is of one that runs and hangs;
// one that has only just been started is waited for.
func (l *localHive) isUp(ctx context.Context) (bool, error) {
	for {
		record, alive, _ := daemon.Running(l.home.PIDFile("hive")) // what cannot be read does not run
		silent, err := l.silent(ctx, record.PID)
		switch {
		case err == nil:
			return true, nil
		case ctx.Err() != nil:
			return false, context.Cause(ctx)
		case !alive || !silent:
			return false, nil
		case time.Since(record.StartedAt) > startWithin:
			l.setHangs(record.PID)
			return false, ops.Errorf(ops.CodeUnavailable, "the hive %s, process %d, %w", ops.LocalHive, record.PID, transport.ErrHung).WithHint("%s", hungHint)
		}
	}
}

// silent asks the hive whether it is there, and reports whether it let the time pass
// in which one that is does answer.
func (l *localHive) silent(ctx context.Context, pid int) (bool, error) {
	within := hearWithin
	if l.foundHung() == pid && pid != 0 {
		within = hearAgainWithin
	}
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	_, err := l.raw.Health(bounded)
	if err == nil {
		l.setHangs(0)
	}
	return bounded.Err() != nil && ctx.Err() == nil, err
}

// replace ends a hive that hangs, and starts another in its place.
func (l *localHive) replace(ctx context.Context) error {
	if record, alive, err := daemon.Running(l.home.PIDFile("hive")); err == nil && alive {
		ops.Warn(ctx, "hive_hung", "the hive %s does not answer; ending its process %d, its workers go on", ops.LocalHive, record.PID)
		if err := daemon.Kill(ctx, record.Process, time.Second); err != nil {
			return err
		}
	}
	return l.ensure(ctx)
}

// errKilled is in the chain of the error of a hive that somebody killed while it
// started, and errEnded of one that gave up by itself, of which the hint helps.
var (
	errKilled = errors.New("ended before it was up")
	errEnded  = errors.New("ended while starting")
)

// start starts the hive and waits for its first answer.
func (l *localHive) start(ctx context.Context) error {
	ops.Narrate(ctx, "hive_start", "starting the hive %s on this machine", ops.LocalHive)
	if r, ok := l.installed(); ok {
		return l.startService(ctx, r)
	}
	logPath := l.home.Log("hive")
	args := []string{"hive", "serve", "--name", ops.LocalHive}
	if l.idle != "" {
		args = append(args, "--idle-timeout", l.idle)
	}
	child, err := daemon.Spawn(daemon.Command{Binary: l.binary, Args: args, Log: logPath})
	if err != nil {
		return ops.Errorf(ops.CodeUnavailable, "start the hive: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	began := time.Now()
	select {
	case <-child.Listens():
	case <-ctx.Done():
	}
	if health, err := l.raw.Health(ctx); err == nil {
		l.log.Info().Int("pid", health.PID).Dur("took", time.Since(began)).Msg("the hive is up")
		ops.Narrate(ctx, "hive_ready", "the hive %s is up, pid %d", ops.LocalHive, health.PID)
		return nil
	}
	var failure *ops.Error
	select {
	case <-child.Done():
		if child.Killed() {
			return ops.Errorf(ops.CodeUnavailable, "the hive %w: %w", errKilled, child.Err()).WithHint("its log is %s", logPath)
		}
		last := child.Said()
		failure = ops.Errorf(ops.CodeUnavailable, "the hive %w: %v: %s", errEnded, child.Err(), last)
		if r, alive, err := daemon.Running(l.home.PIDFile("hive")); err == nil && alive {
			return failure.WithHint("process %d is a hive that does not answer: `rbee queen restart` replaces it, its workers go on", r.PID)
		}
		if last.Hint != "" {
			return failure.WithHint("%s", last.Hint)
		}
	case <-ctx.Done():
		failure = ops.Errorf(ops.CodeUnavailable, "the hive did not answer: %w", context.Cause(ctx))
	}
	return failure.WithHint("its log is %s", logPath)
}

// startService starts the hive where it is a service of this machine.
func (l *localHive) startService(ctx context.Context, r record) error {
	s := install.Service{Shell: install.Here{}, Site: r.Site, Name: ops.LocalHive, Listen: r.Listen}
	if _, err := s.Start(ctx); err != nil {
		return ops.Errorf(ops.CodeUnavailable, "start the hive's service: %w", err)
	}
	return (&deployment{service: s, direct: l.raw}).answers(ctx, r.Build)
}

// renew replaces a running hive of another build, or with another idle timeout,
// by one of the queen's. Its workers and their streams go on. A service keeps its binary until it is
// updated.
func (l *localHive) renew(ctx context.Context) error {
	if _, service := l.installed(); service {
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, hearWithin)
	defer cancel()
	health, err := l.raw.Health(asking)
	if asking.Err() != nil && ctx.Err() == nil {
		l.log.Warn().Msg("the running hive does not answer; replacing it")
		if err := l.shutdown(ctx, daemon.ScopeSelf); err != nil {
			return err
		}
		return l.ensure(ctx)
	}
	if err != nil || health.Build == l.build && l.idlesRight(asking) {
		return nil // none runs, or the right one
	}
	l.log.Info().Str("from", health.Build).Str("to", l.build).Str("idle timeout", l.idle).Msg("restarting the hive as the queen wants it")
	if err := l.shutdown(ctx, daemon.ScopeSelf); err != nil {
		return err
	}
	return l.ensure(ctx)
}

// idlesRight reports whether the hive that runs has the idle timeout wanted, or
// does not say.
func (l *localHive) idlesRight(ctx context.Context) bool {
	var now ops.HiveSnapshot
	if err := l.raw.Post(ctx, "/v1/probe", map[string]bool{}, &now); err != nil || l.idle == "" {
		return true
	}
	has, err := time.ParseDuration(now.Hive.IdleTimeout)
	want, _ := time.ParseDuration(l.idle) // which was checked
	return err != nil || has == want
}

// stop ends the hive and its workers, and keeps it from being started until it
// is allowed again. A hive that does not leave in time is killed, and then its workers are.
// One that is just being started is waited for: until it listens, nothing tells of it.
func (l *localHive) stop(ctx context.Context) error {
	l.allow(false)
	select {
	case l.starting <- struct{}{}:
		defer func() { <-l.starting }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := l.shutdown(ctx, daemon.ScopeAll); err != nil {
		l.log.Warn().Err(err).Msg("the hive does not stop by itself")
	}
	_, err := daemon.KillLeftovers(l.home)
	return err
}

// shutdown asks the hive that runs to end, and waits until its process has.
func (l *localHive) shutdown(ctx context.Context, scope daemon.Scope) error {
	record, alive, err := daemon.Running(l.home.PIDFile("hive"))
	if err != nil || !alive {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, hearWithin)
	defer cancel()
	if err := l.raw.Post(asking, daemon.ShutdownPath, daemon.Shutdown{Scope: scope}, nil); err != nil {
		return daemon.Kill(ctx, record.Process, time.Second) // who is deaf for so long will not hear a signal either
	}
	return daemon.WaitEnd(ctx, record.Process)
}

// foundHung is the process that was found to hang, or 0.
func (l *localHive) foundHung() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hangs
}

// setHangs notes the process that was found to hang, or with 0 that none does.
func (l *localHive) setHangs(pid int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hangs = pid
}

// isStopped reports whether the hive is to stay down.
func (l *localHive) isStopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down
}

// installed is the record of the hive where it is a service of this machine.
func (l *localHive) installed() (record, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.service == nil {
		return record{}, false
	}
	return *l.service, true
}

// setInstalled notes that the hive is a service, or with nil that it is none.
func (l *localHive) setInstalled(r *record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.service = r
}

// allow lets the hive be started again, or not.
func (l *localHive) allow(start bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = !start
}
