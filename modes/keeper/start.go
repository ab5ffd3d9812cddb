package keeper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/gofrs/flock"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// startWithin is how long a queen may take from its start to its first answer.
const startWithin = 20 * time.Second

// running returns the record of this account's queen, if it runs.
func (k *Keeper) running() (daemon.Record, bool) {
	record, alive, err := daemon.Running(k.Home.PIDFile("queen"))
	return record, err == nil && alive && record.Address != ""
}

// ensure returns the record of this account's queen, after starting it if it
// does not run.
func (k *Keeper) ensure(ctx context.Context) (daemon.Record, error) {
	if record, ok := k.running(); ok {
		k.compare(record)
		return record, nil
	}
	return k.revive(ctx)
}

// revive starts a queen again that has died, as it was started before. The pid file
// of one that lives is not of here, if nobody holds it.
func (k *Keeper) revive(ctx context.Context) (daemon.Record, error) {
	if record, err := daemon.Read(k.Home.PIDFile("queen")); err == nil && record.Address != "" && len(record.Args)+len(record.Env) > 0 && !record.Alive() {
		k.inherit(record.Env)
		return k.start(ctx, record.Address, record.Args...)
	}
	return k.start(ctx, k.Listen)
}

// start starts a queen in the background, with flags beside where it listens. Of
// several keepers that find none at the same time, one starts it and the others
// use it.
func (k *Keeper) start(ctx context.Context, listen string, args ...string) (daemon.Record, error) {
	if err := k.Home.Create(); err != nil {
		return daemon.Record{}, transport.Absent(err)
	}
	lock := flock.New(k.Home.StartLock(), flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, lookAgain); err != nil {
		return daemon.Record{}, transport.Absent(fmt.Errorf("wait for another command that starts the queen: %w", err))
	}
	defer lock.Close() //nolint:errcheck // closing also unlocks, and only a broken system fails at it
	if record, ok := k.running(); ok {
		return record, nil
	}
	binary, err := daemon.Install(k.Home, k.Binary)
	if err != nil {
		return daemon.Record{}, transport.Absent(err)
	}
	if err := daemon.Prune(k.Home, binary); err != nil {
		k.say("keeper: old copies of the binary stay: %v", err)
	}
	if !k.unstarted.Load() {
		k.say("keeper: starting the queen")
	}
	for again := false; ; again = true {
		record, err := k.spawn(ctx, binary, listen, args)
		if again || !errors.Is(err, errKilled) || ctx.Err() != nil {
			return record, err
		}
		k.say("keeper: warning: %v; starting it once more", err)
	}
}

// lookAgain is how often a lock is tried that another command holds.
const lookAgain = 20 * time.Millisecond

// settled waits until no command is starting a queen, which would be up a moment
// later, and keeps others from it until release is called.
func (k *Keeper) settled(ctx context.Context) (release func(), err error) {
	lock := flock.New(k.Home.StartLock(), flock.SetFlag(os.O_RDONLY))
	release = func() { _ = lock.Close() } // it only unlocks
	free, err := lock.TryLock()
	if err == nil && !free {
		k.say("keeper: waiting for another command that starts or ends the queen")
		_, err = lock.TryLockContext(ctx, lookAgain)
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil && !errors.Is(err, fs.ErrNotExist): // none was ever started
		return nil, ops.Errorf(ops.CodeUnavailable, "look whether a queen is being started: %w", err)
	}
	return release, nil
}

// errKilled is in the chain of the error of a queen that somebody killed while it
// started.
var errKilled = errors.New("ended before it was up")

// spawn starts the process of a queen and waits until it answers.
func (k *Keeper) spawn(ctx context.Context, binary, listen string, args []string) (daemon.Record, error) {
	log := k.Home.Log("queen")
	child, err := daemon.Spawn(daemon.Command{
		Binary: binary, Args: append([]string{"queen", "serve", "--listen", listen}, args...), Log: log, Env: k.inherited,
	})
	if err != nil {
		return daemon.Record{}, transport.Absent(err)
	}
	record, err := k.await(ctx, child, log)
	if err != nil && ctx.Err() != nil { // nobody waits for it any more
		return daemon.Record{}, errors.Join(err, k.giveUp(ctx, child))
	}
	return record, err
}

// giveUp ends a queen whose start was cancelled, unless it is up already.
func (k *Keeper) giveUp(ctx context.Context, child *daemon.Child) error {
	select {
	case <-child.Listens():
		return nil // another command may use it
	default:
	}
	return k.kill(context.WithoutCancel(ctx), daemon.Record{Process: child.Process}, daemon.ScopeAll, answerWithin)
}

// await waits until a queen that was just started answers, or says why it does
// not.
func (k *Keeper) await(ctx context.Context, child *daemon.Child, log string) (daemon.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	select {
	case <-child.Listens():
	case <-ctx.Done():
	}
	if record, ok := k.running(); ok {
		c := transport.New(k.own(record))
		defer c.Close()
		if _, err := c.Health(ctx); err == nil {
			k.say("keeper: the queen is up at %s, pid %d", record.Address, record.PID)
			return record, nil
		}
	}
	select {
	case <-child.Done():
		if child.Killed() {
			return daemon.Record{}, unreachable("the queen %w: %w", errKilled, child.Err()).WithHint("its log is %s", log)
		}
		return daemon.Record{}, notStarted(child.Said(), log)
	case <-ctx.Done():
		return daemon.Record{}, unreachable("the queen does not answer: %v", context.Cause(ctx)).
			WithHint("its log is %s", log)
	}
}

// notStarted is the error of a daemon that ended while it started: what it said
// last, with its own hint where it had one.
func notStarted(l daemon.LogLine, log string) error {
	hint := "its log is " + log
	if l.Hint != "" {
		hint = l.Hint
	}
	if l.Code == ops.CodeInvalid {
		return ops.Errorf(ops.CodeInvalid, "%s", l).WithHint("%s", hint)
	}
	return unreachable("%s", l).WithHint("%s", hint)
}

// unreachable is an error that makes the exit code say that there is no queen.
func unreachable(format string, args ...any) *ops.Error {
	return ops.Errorf(ops.CodeUnavailable, "%w", transport.Absent(fmt.Errorf(format, args...)))
}
