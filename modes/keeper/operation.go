package keeper

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// Operation is a command that is an operation: its flags are the operation's
// fields, its result is shown as the result type's table.
type Operation[O ops.Returning[R], R any] struct {
	Op O `embed:""`
}

// Help is the example that --help shows.
func (c *Operation[O, R]) Help() string { return exampleOf(c.Op.Name()) }

// Run sends the operation and shows its result.
func (c *Operation[O, R]) Run(ctx context.Context, k *Keeper) error {
	return do(ctx, k, c.Op)
}

func do[R any](ctx context.Context, k *Keeper, o ops.Returning[R]) error {
	if err := o.Validate(); err != nil {
		return err
	}
	raw, err := k.Do(ctx, o, "", nil)
	if err != nil {
		return err
	}
	var result R
	if err := json.Unmarshal(raw, &result); err != nil {
		return fmt.Errorf("read the result of %s: %w", o.Name(), err)
	}
	return k.show(result)
}

// Do sends o to the queen as a job under id ("" chooses one), shows how it
// goes, hands tokens to see, and returns the result. When ctx ends, the job is
// cancelled.
func (k *Keeper) Do(ctx context.Context, o ops.Op, id string, see func(transport.Received) error) (json.RawMessage, error) {
	if id == "" {
		id = rand.Text()
	}
	asked, _ := k.running()
	raw, begun, err := k.ask(ctx, o, id, see)
	if err != nil && !begun && k.outlived(ctx, asked, err) {
		raw, _, err = k.ask(ctx, o, id, see)
	}
	return raw, err
}

// ask is Do of the queen that there is. It reports whether anything was heard of the job.
func (k *Keeper) ask(ctx context.Context, o ops.Op, id string, see func(transport.Received) error) (raw json.RawMessage, begun bool, err error) {
	c, err := k.client(ctx)
	if err != nil {
		return nil, false, err
	}
	defer c.Close()
	story := k.newStory()
	defer story.close()
	raw, err = c.Do(ctx, o, id, func(r transport.Received) error {
		begun = true
		if see != nil {
			if err := see(r); err != nil {
				return err
			}
		}
		story.tell(r.Event)
		return nil
	})
	if begun && ctx.Err() == nil {
		err = k.jobLost(err, c, id)
	}
	return raw, begun, err
}

// jobLost adds to the error of a job that is followed no further, since its queen is gone,
// where it is found, or says that it is no more: a queen that was started in her place
// and knows another token has none of her jobs.
func (k *Keeper) jobLost(err error, c *transport.Client, job string) error {
	if ops.CodeOf(err) == ops.CodeDenied && k.Queen == "" && k.Token == "" && k.ownToken() != c.Token {
		return ops.Errorf(ops.CodeUnavailable, "the job is lost: the folder %s was removed, and with it what the queen remembered", k.Home.State).
			WithHint("ask again")
	}
	e, ok := errors.AsType[*ops.Error](err)
	if !ok || !errors.Is(err, transport.ErrUnreachable) {
		return err
	}
	found := fmt.Sprintf("`rbee job follow %s` shows the job once a queen is up again", job)
	if e.Hint != "" {
		found = e.Hint + "; " + found
	}
	return e.WithHint("%s", found)
}

// show prints a result: as one line of JSON, or for a person.
func (k *Keeper) show(result any) error {
	if k.Output == "json" {
		return k.printJSON(result)
	}
	return k.table(result)
}

func (k *Keeper) printJSON(value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(k.Stdout, "%s\n", text)
	return err
}
