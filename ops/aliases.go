package ops

import (
	"context"
	"strings"
)

// alias is what another name for a model may be: what clients have in their
// settings for models of other makers, as gpt-4o, openai/gpt-4o or qwen3:0.6b.
var alias = shaped(`^[A-Za-z0-9][A-Za-z0-9._:/-]*$`, 1, 128)

func checkAlias(value string) error {
	if !alias.MatchString(value) || strings.Contains(value, "..") || IsModelReference(value) || strings.Contains(value, "://") {
		return Invalid("alias", "must be letters, digits, '.', '_', '-', ':' or '/', at most 128, beginning with a letter or digit and not with hf: or a URL's scheme, got %q", clip(value))
	}
	return nil
}

// Alias is another name for a model, for every client of the queen.
type Alias struct {
	Alias string `json:"alias"`
	Model string `json:"model"`
	// Missing says that no hive has the model, and that requests do not bring it.
	Missing bool `json:"missing,omitempty"`
}

// Aliases is the answer to [ModelAliases].
type Aliases struct {
	Aliases []Alias `json:"aliases"` // by name
}

// AliasRemoved is the answer to [ModelUnalias].
type AliasRemoved struct {
	Alias string `json:"alias"`
}

// ModelAlias gives a model another name, or an alias another model.
type ModelAlias struct {
	op[Alias] `kong:"-" json:"-"`
	// Alias is the other name: letters, digits, '.', '_', '-', ':' and '/', at
	// most 128, beginning with a letter or digit. No model may be called so.
	Alias string `json:"alias" arg:"" help:"Other name, as fast or gpt-4o."`
	// Model is the model that is meant, by its name or as hf:OWNER/REPO….
	Model string `json:"model" arg:"" help:"Model that is meant, by its name or as hf:OWNER/REPO[:QUANT|:FILE]."`
}

// Name returns "model_alias".
func (ModelAlias) Name() string { return "model_alias" }

// Validate wants both names.
func (o ModelAlias) Validate() error {
	return firstError(checkRequired("alias", o.Alias), checkAlias(o.Alias), checkRequired("model", o.Model), checkModelName(o.Model))
}

func (o ModelAlias) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.ModelAlias(ctx, o)
	return done(o, r, err)
}

// ModelAliases lists the aliases.
type ModelAliases struct {
	op[Aliases] `kong:"-" json:"-"`
}

// Name returns "model_aliases".
func (ModelAliases) Name() string { return "model_aliases" }

// Validate accepts every ModelAliases: it has no fields.
func (ModelAliases) Validate() error { return nil }

func (o ModelAliases) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.ModelAliases(ctx, o)
	return done(o, r, err)
}

// ModelUnalias removes an alias; the model stays.
type ModelUnalias struct {
	op[AliasRemoved] `kong:"-" json:"-"`
	// Alias is the name to remove.
	Alias string `json:"alias" arg:"" help:"Alias to remove."`
}

// Name returns "model_unalias".
func (ModelUnalias) Name() string { return "model_unalias" }

// Validate wants a name.
func (o ModelUnalias) Validate() error {
	return firstError(checkRequired("alias", o.Alias), checkAlias(o.Alias))
}

func (o ModelUnalias) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.ModelUnalias(ctx, o)
	return done(o, r, err)
}
