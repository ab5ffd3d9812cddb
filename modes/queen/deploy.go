package queen

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/queen/install"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// askWithin is how long one question whether a hive answers may take.
const askWithin = 3 * time.Second

// answerWithin is how long a hive may take from its start to its first answer.
const answerWithin = 20 * time.Second

// deployment is one change of the hive that runs on a machine: its binary, its
// name, how it listens.
type deployment struct {
	service install.Service
	binary  install.Binary
	facts   install.Facts
	direct  *transport.Client // to the hive, through the link or the socket
	fresh   bool              // there is no hive of ours on the machine yet
	restart bool              // also when the binary is the one that runs

	before  string // the binary that ran before
	copied  bool
	started install.Started
}

// steps bring the binary there and the hive up with it. Undone, they leave the
// hive that was there before, or none.
func (d *deployment) steps() []install.Step {
	return []install.Step{
		{Action: "binary_copy", Title: "copy the binary", Run: d.copy, Undo: d.uncopy},
		{Action: "binary_switch", Title: "put the binary in place", Run: d.switchTo, Undo: d.switchBack},
		{Action: "hive_start", Title: "start the hive", Run: d.start, Undo: d.startOld},
	}
}

func (d *deployment) copy(ctx context.Context) (err error) {
	if slices.Contains(d.facts.Binaries, d.binary.Name()) {
		ops.Narrate(ctx, "binary_there", "rbee, build %s, is there already; nothing is copied", d.binary.Build())
	} else {
		ops.Narrate(ctx, "binary_copy", "copying rbee, build %s, %.1f MB", d.binary.Build(), float64(d.binary.Size)/1e6)
	}
	d.copied, err = d.service.Copy(ctx, d.binary, d.facts.Binaries)
	return err
}

func (d *deployment) uncopy(ctx context.Context) error {
	if !d.copied {
		return nil
	}
	return d.service.Prune(ctx, d.facts.Binaries...)
}

func (d *deployment) switchTo(ctx context.Context) (err error) {
	d.before, err = d.service.Switch(ctx, d.binary.Name())
	return err
}

func (d *deployment) switchBack(ctx context.Context) error {
	if d.before == "" || d.before == d.binary.Name() {
		return nil
	}
	_, err := d.service.Switch(ctx, d.before)
	return err
}

// start replaces the hive that runs, whose workers go on, and waits for the new
// one to answer. A hive that is as it should be already is left alone.
func (d *deployment) start(ctx context.Context) (err error) {
	if health, err := health(ctx, d.direct); err == nil {
		if health.Build == d.binary.Build() && !d.restart {
			d.started.Kept = true
			return nil
		}
		ops.Narrate(ctx, "hive_restart", "replacing the hive of build %s; its workers and their answers go on", health.Build)
		if err := endHive(ctx, d.direct, daemon.ScopeSelf); err != nil {
			return err
		}
	}
	ops.Narrate(ctx, "hive_start", "starting the hive")
	if d.started, err = d.service.Start(ctx); err != nil {
		return err
	}
	return d.answers(ctx, d.binary.Build())
}

// startOld brings the hive back that was there before the switch was undone.
func (d *deployment) startOld(ctx context.Context) error {
	if d.fresh {
		return d.service.Stop(ctx)
	}
	if d.started.Kept || d.before == "" {
		return nil
	}
	// The switch is undone after this step, but the old hive must start from
	// the old binary.
	if err := d.switchBack(ctx); err != nil {
		return err
	}
	ops.Warn(ctx, "hive_rollback", "going back to the hive that was there before")
	if err := endHive(ctx, d.direct, daemon.ScopeSelf); err != nil {
		return err
	}
	if _, err := d.service.Start(ctx); err != nil {
		return err
	}
	return d.answers(ctx, strings.TrimPrefix(d.before, "rbee-"))
}

// answers waits until a hive of the build answers.
func (d *deployment) answers(ctx context.Context, build string) error {
	bounded, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	look := time.NewTicker(2 * time.Second)
	defer look.Stop()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 250*time.Millisecond) {
		health, err := health(bounded, d.direct)
		switch {
		case err == nil && health.Build == build:
			ops.Narrate(ctx, "hive_ready", "the hive answers, pid %d", health.PID)
			return nil
		case err == nil:
			err = fmt.Errorf("the hive that answers is build %s", health.Build)
		}
		if pause(bounded, wait); ctx.Err() != nil {
			return context.Cause(ctx)
		}
		select {
		case <-bounded.Done():
			return d.noAnswer(ctx, err)
		case <-look.C: // one that crashes again and again will not answer later either
			if strings.Count(d.service.Tail(bounded), "the hive crashed") > 1 {
				return d.noAnswer(ctx, err)
			}
		default:
		}
	}
}

// health asks a hive once how it is, and not for long: what was asked before the hive listened
// may never be answered.
func health(ctx context.Context, c *transport.Client) (ops.Health, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return c.Health(ctx)
}

// noAnswer says what the hive's log ends with.
func (d *deployment) noAnswer(ctx context.Context, err error) error {
	e := ops.Errorf(ops.CodeTimeout, "it does not answer: %w", err)
	if tail := d.service.Tail(ctx); tail != "" {
		e = ops.Errorf(ops.CodeTimeout, "it does not answer: %w; its log ends with: %s", err, tail)
	}
	if d.fresh {
		return e.WithHint("what was done before is undone: the machine is as it was")
	}
	return e.WithHint("the hive that was there before is started again; the log on the machine is %s", d.service.Log())
}

// endHive asks the hive that c speaks to to end, and waits until it has: until
// nobody answers, or another process does.
func endHive(ctx context.Context, c *transport.Client, scope daemon.Scope) error {
	before, err := health(ctx, c)
	if err != nil {
		return nil //nolint:nilerr // there is none that could be asked
	}
	err = c.Post(ctx, daemon.ShutdownPath, daemon.Shutdown{Scope: scope}, nil)
	if err != nil && !errors.Is(err, transport.ErrUnreachable) {
		return fmt.Errorf("ask the hive to end: %w", err)
	}
	for {
		now, err := health(ctx, c)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("wait for the hive to end: %w", context.Cause(ctx))
		case err != nil || now.PID != before.PID:
			return nil
		}
		pause(ctx, 20*time.Millisecond)
	}
}
