package ops

import (
	"context"
	"time"
)

// Those who use models without an API key, where others are called by its id.
const (
	ByToken = "token" // with the queen's own token
	ByNone  = "none"  // without any key, where none is wanted
)

// Usage tells who has used which models, and how much.
type Usage struct {
	op[UsageReport] `kong:"-" json:"-"`
	// Since is how far to look back, as 12h, 7d or 4w, up to ten years; empty
	// means 7d. It is rounded up to whole minutes, and what is more than a day to
	// whole hours.
	Since string `json:"since,omitempty" placeholder:"AGE" help:"How far to look back, as 30m, 12h, 7d or 4w (default: 7d); use is kept by the minute for a day, then by the hour."`
	// By sums up by key or by model; empty tells each pair.
	By string `json:"by,omitempty" placeholder:"WHAT" help:"Sum up by key or by model (default: each key and model)."`
	// Key is a key's id or name, token for the queen's token, or none for no key; empty
	// is all.
	Key string `json:"key,omitempty" placeholder:"KEY" help:"Only what was used with this key: its id or name, token for the queen's own, or none."`
	// Model is a model's name, or an alias of it; empty is all.
	Model string `json:"model,omitempty" placeholder:"NAME" help:"Only what was used of this model."`
}

// UsageReport is the answer to [Usage].
type UsageReport struct {
	Since time.Time  `json:"since"` // a whole minute, or a whole hour where it is more than a day ago
	Usage []UsageRow `json:"usage"` // most tokens first
	Total UsageRow   `json:"total"`
}

// UsageRow is what one key has used of one model, or their sum.
type UsageRow struct {
	Key       string  `json:"key,omitempty"`      // its id; "token" is the queen's token, "none" no key
	KeyName   string  `json:"key_name,omitempty"` // "" once the key is forgotten
	Model     string  `json:"model,omitempty"`    // "" sums up requests for models that there are not
	Requests  int64   `json:"requests"`           // those with errors too
	Errors    int64   `json:"errors"`
	TokensIn  int64   `json:"tokens_in"`  // of prompts
	TokensOut int64   `json:"tokens_out"` // of answers
	Estimated int64   `json:"estimated"`  // requests whose engine told no counts
	Seconds   float64 `json:"seconds"`    // that the requests took, added up
}

// Name returns "usage".
func (Usage) Name() string { return "usage" }

// Validate checks the age and what to sum up by.
func (o Usage) Validate() error {
	if o.By != "" && o.By != "key" && o.By != "model" {
		return Invalid("by", "must be key or model, got %q", clip(o.By))
	}
	return checkAge("since", o.Since)
}

func (o Usage) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.Usage(ctx, o)
	return done(o, r, err)
}
