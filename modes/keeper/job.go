package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// JobList is `rbee job list`.
type JobList struct {
	All bool `short:"a" help:"Show lookups too, such as the lists and states that were asked for."`
}

// Help is shown by --help.
func (JobList) Help() string { return "Example:\n  rbee job list -o json | jq -r '.jobs[0].id'" }

// Run lists the queen's jobs, newest first.
func (j JobList) Run(ctx context.Context, k *Keeper) error {
	c, err := k.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	list, err := c.Jobs(ctx)
	if err != nil {
		return err
	}
	all := len(list.Jobs)
	if !j.All {
		list.Jobs = slices.DeleteFunc(list.Jobs, func(j ops.Job) bool { return ops.IsLookup(j.Operation) })
	}
	if err := k.show(list); err != nil {
		return err
	}
	if hidden := all - len(list.Jobs); hidden > 0 && k.Output == "text" {
		k.say("keeper: lookups are not shown, %d of them; --all shows them", hidden)
	}
	return nil
}

// JobGet is `rbee job get`.
type JobGet struct {
	ID string `arg:"" help:"Job's id."`
}

// Help is shown by --help.
func (JobGet) Help() string { return "Example:\n  rbee job get JOB" }

// Run shows one job.
func (j JobGet) Run(ctx context.Context, k *Keeper) error {
	if err := checkJob(j.ID); err != nil {
		return err
	}
	c, err := k.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	job, err := c.Job(ctx, j.ID)
	if err != nil {
		return err
	}
	return k.show(job)
}

// JobCancel is `rbee job cancel`.
type JobCancel struct {
	ID string `arg:"" help:"Job's id."`
}

// Help is shown by --help.
func (JobCancel) Help() string { return "Example:\n  rbee job cancel JOB" }

// Run cancels a job and shows how it stands when it has ended.
func (j JobCancel) Run(ctx context.Context, k *Keeper) error {
	if err := checkJob(j.ID); err != nil {
		return err
	}
	c, err := k.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	before, err := c.Cancel(ctx, j.ID)
	if err != nil {
		return err
	}
	if before.State.Finished() {
		k.say("keeper: there is nothing to cancel: the job has ended, as %s", before.State)
		return k.show(before)
	}
	for r, err := range c.Follow(ctx, j.ID, 0) { // to its end
		if err != nil {
			return err
		}
		if _, ended := r.Event.(ops.EndEvent); ended {
			break
		}
	}
	job, err := c.Job(ctx, j.ID)
	if err != nil {
		return err
	}
	return k.show(job)
}

// ErrLeft is in the chain of the error of a command that was asked to end, and by which
// nothing was cancelled but itself.
var ErrLeft = errors.New("no longer followed")

// JobFollow is `rbee job follow`.
type JobFollow struct {
	ID string `arg:"" help:"Job's id."`
}

// Help is shown by --help.
func (JobFollow) Help() string {
	return `Shows a job from its first event, however long ago that was, to its end. Leaving
it with Ctrl-C does not cancel the job; "rbee job cancel" does.

Example:
  rbee job follow JOB`
}

// Run follows the job; it fails as the job does.
func (j JobFollow) Run(ctx context.Context, k *Keeper) error {
	if err := checkJob(j.ID); err != nil {
		return err
	}
	c, err := k.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	story := k.newStory()
	defer story.close()
	p := printer{k: k, events: k.Output == "events"}
	var failure *ops.Error
	var result json.RawMessage
	for r, err := range c.Follow(ctx, j.ID, 0) {
		if err != nil {
			if ctx.Err() != nil {
				return ops.Errorf(ops.CodeCancelled, "%w: the job itself goes on", ErrLeft).
					WithHint("`rbee job follow %s` shows it again, `rbee job cancel %s` ends it", j.ID, j.ID)
			}
			return k.jobLost(err, c, j.ID)
		}
		switch e := r.Event.(type) {
		case ops.ResultEvent:
			result = e.Raw
		case ops.ErrorEvent:
			failure = &e.Error
		case ops.EndEvent:
			return j.end(ctx, c, p, result, failure)
		case ops.NarrationEvent, ops.ProgressEvent, ops.TokenEvent:
			story.tell(r.Event)
		}
		if k.Output == "json" {
			continue
		}
		if err := p.see(r); err != nil {
			return err
		}
	}
	return nil
}

// end shows the result, where it was not shown as it came.
func (j JobFollow) end(ctx context.Context, c *transport.Client, p printer, result json.RawMessage, failure *ops.Error) error {
	switch {
	case failure != nil:
		_ = p.finish(false) // the failure is what to show
		return failure
	case p.k.Output == "json":
		return p.k.printJSON(result)
	case p.last != 0 || p.events:
		return p.finish(true)
	}
	job, err := c.Job(ctx, j.ID) // no text came: the result is all there is
	if err != nil {
		return err
	}
	value, err := ops.DecodeResult(job.Operation, result)
	if err != nil {
		return fmt.Errorf("read the result of %s: %w", job.Operation, err)
	}
	if answer, ok := value.(ops.Answer); ok { // it was not to be streamed
		_, err := fmt.Fprintln(p.k.Stdout, answer.Text)
		return err
	}
	return p.k.show(value)
}

// checkJob wants a job's id: without one the address would be another's.
func checkJob(id string) error {
	if id == "" {
		return ops.Invalid("id", "must be given").WithHint("`rbee job list` shows the jobs there are")
	}
	return nil
}
