package keeper

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"

	"rbee.dev/rbee/ops"
)

// KeyCreate is `rbee key create`: the operation, with a secret that is made here
// and shown once. The queen is told its digest only.
type KeyCreate struct {
	Name              *string  `help:"What to call it, as who or what uses it." placeholder:"NAME"`
	Scope             []string `sep:"none" help:"What it opens: inference, jobs or admin; once for each (default: inference)." placeholder:"SCOPE"`
	Model             []string `short:"m" sep:"none" help:"Model that it may use, or an alias, for what that means then; once for each (default: all)." placeholder:"NAME"`
	RequestsPerMinute int      `help:"Requests a minute at most (default: any); those that are refused, or only look at what there is, do not count." placeholder:"N"`
	TokensPerMinute   int      `help:"Tokens a minute, prompts and answers together (default: any); what a request takes beyond them is taken off the next minutes." placeholder:"N"`
	Expires           *string  `help:"How long it is taken, as 12h or 30d (default: until it is revoked)." placeholder:"AGE"`
	Digest            *string  `help:"SHA-256 of a random secret of your own, in hex (default: one is made and printed)." placeholder:"HEX"`
}

// Help is the example that --help shows.
func (KeyCreate) Help() string {
	return `Prints the secret, this once; it is kept nowhere. From the first key on, programs
that use models need one, those of this machine too. A program sends it as
"Authorization: Bearer KEY", or as "x-api-key: KEY".

Scopes: inference is the APIs of OpenAI, Anthropic and Ollama; jobs is what keepers
do with hives as they are (infer, lists, workers); admin is everything.

Examples:
  ` + examples["key_create"] + `
  rbee key create --name guest --model qwen3 --requests-per-minute 10 --expires 30d
  RBEE_TOKEN=$(rbee key create --name laptop --scope jobs --scope inference)`
}

// newKey is what the command prints.
type newKey struct {
	Secret string `json:"secret,omitempty"` // absent where its digest was given
	ops.Key
}

// Run makes the key.
func (c *KeyCreate) Run(ctx context.Context, k *Keeper) error {
	o := ops.KeyCreate{
		Models:            parts(c.Model),
		RequestsPerMinute: c.RequestsPerMinute, TokensPerMinute: c.TokensPerMinute, Expires: c.Expires,
	}
	if c.Name != nil {
		if o.Label = *c.Name; o.Label == "" {
			return ops.Invalid("name", "must not be empty: leave it out, and one is made up")
		}
	}
	for _, s := range parts(c.Scope) {
		o.Scopes = append(o.Scopes, ops.Scope(s))
	}
	secret := ""
	if c.Digest != nil {
		o.Digest = *c.Digest
	} else {
		secret = ops.NewKeySecret()
		o.Digest = ops.KeyDigest(secret)
	}
	if err := o.Validate(); err != nil {
		return err
	}
	raw, err := k.Do(ctx, o, "", nil)
	if err != nil {
		return err
	}
	made := newKey{Secret: secret}
	if err := json.Unmarshal(raw, &made.Key); err != nil {
		return fmt.Errorf("read the result of key_create: %w", err)
	}
	if err := k.showKey(made); err != nil {
		return k.lost(ctx, made, err)
	}
	return nil
}

// parts are the values of a flag that was given so often, each of which may be
// several with commas between. An empty one is kept, as what it is: a mistake.
func parts(values []string) (list []string) {
	for _, v := range values {
		list = append(list, strings.Split(v, ",")...)
	}
	return list
}

// showKey prints a key that was made, with its secret.
func (k *Keeper) showKey(made newKey) error {
	if k.Output == "json" {
		return k.printJSON(made)
	}
	k.say("keeper: the key %s: %s", called(made.ID, made.Name), allowed(made.Key))
	if made.Secret == "" {
		return k.table(made.Key)
	}
	k.say("keeper: this is its secret, which is shown this once")
	_, err := fmt.Fprintln(k.Stdout, made.Secret)
	return err
}

// undoWithin is how long the queen may take to revoke a key that nobody can use.
const undoWithin = 5 * time.Second

// lost revokes a key whose secret could not be shown, and returns why.
func (k *Keeper) lost(ctx context.Context, made newKey, why error) error {
	if made.Secret == "" {
		return why // it is somebody's own, who has it
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWithin)
	defer cancel()
	if _, err := k.Do(ctx, ops.KeyRevoke{ID: made.ID, Forget: true}, "", nil); err != nil {
		return ops.AsError(fmt.Errorf("show the secret of the key %s: %w", made.ID, why)).
			WithHint("nobody has it: `rbee key revoke %s --forget` takes the key back, which failed just now: %v", made.ID, err)
	}
	return ops.AsError(fmt.Errorf("show the secret of the key %s: %w", made.ID, why)).
		WithHint("nobody has it, and so the key was taken back")
}

// called is what a key is called: its id, and the name that a person gave it.
func called(id, name string) string {
	if name == "" {
		return id
	}
	return id + " (" + name + ")"
}

// allowed says what a key is for.
func allowed(key ops.Key) string {
	text := "for " + join(key.Scopes)
	if len(key.Models) > 0 {
		text += ", of models " + strings.Join(key.Models, ", ")
	}
	if rate := rates(key); rate != "" {
		text += ", " + rate
	}
	if key.ExpiresAt != nil {
		text += ", until " + when(*key.ExpiresAt)
	}
	return text
}

// join is a list of words as a cell has it.
func join[S ~string](list []S) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

func rates(key ops.Key) string {
	var list []string
	if key.RequestsPerMinute > 0 {
		list = append(list, fmt.Sprintf("%d %s/min", key.RequestsPerMinute, english.PluralWord(key.RequestsPerMinute, "request", "")))
	}
	if key.TokensPerMinute > 0 {
		list = append(list, fmt.Sprintf("%d %s/min", key.TokensPerMinute, english.PluralWord(key.TokensPerMinute, "token", "")))
	}
	return strings.Join(list, ", ")
}

// accessTable prints what there is to tell of keys and their use.
func accessTable(w io.Writer, result any) {
	switch r := result.(type) {
	case ops.Key:
		keysTable(w, []ops.Key{r})
	case ops.Keys:
		keysTable(w, r.Keys)
	case ops.KeyEnded:
		row(w, keyEnded(r))
	case ops.UsageReport:
		usageTable(w, r)
	}
}

func keysTable(w io.Writer, list []ops.Key) {
	if len(list) == 0 {
		row(w, "no keys: this machine's programs need none; `rbee key create` makes one")
		return
	}
	row(w, "KEY", "NAME", "STATE", "SCOPES", "MODELS", "LIMITS", "CREATED", "EXPIRES", "LAST USED")
	for _, x := range list {
		models := strings.Join(x.Models, ", ")
		if models == "" {
			models = "all"
		}
		if len(x.Missing) > 0 {
			models += " (no hive has " + strings.Join(x.Missing, ", ") + ")"
		}
		row(w, x.ID, x.Name, string(x.State), join(x.Scopes), models, rates(x), when(x.CreatedAt), maybe(x.ExpiresAt), maybe(x.LastUsedAt))
	}
}

func maybe(t *time.Time) string {
	if t == nil {
		return ""
	}
	return when(*t)
}

func keyEnded(e ops.KeyEnded) string {
	text := "the key " + called(e.ID, e.Name)
	if e.Forgotten {
		return text + " is revoked and forgotten"
	}
	return text + " is revoked"
}
