package ops

import "context"

// ModelPin keeps a model loaded once it is: its workers are not unloaded, neither
// to make room nor for having had nothing to do. It holds until [ModelUnpin].
type ModelPin struct {
	op[Model] `kong:"-" json:"-"`
	OnHive
	// ID is the model's name.
	ID string `json:"id" arg:"" help:"Model's name."`
}

// Name returns "model_pin".
func (ModelPin) Name() string { return "model_pin" }

// Validate wants a name.
func (o ModelPin) Validate() error {
	return firstError(checkName("hive_id", o.HiveID), checkRequired("id", o.ID), checkModelID(o.ID))
}

func (o ModelPin) onHive(ctx context.Context, h HiveHandler) (any, error) {
	r, err := h.ModelPin(ctx, o)
	return done(o, r, err)
}

// ModelUnpin undoes [ModelPin].
type ModelUnpin struct {
	op[Model] `kong:"-" json:"-"`
	OnHive
	// ID is the model's name.
	ID string `json:"id" arg:"" help:"Model's name."`
}

// Name returns "model_unpin".
func (ModelUnpin) Name() string { return "model_unpin" }

// Validate wants a name.
func (o ModelUnpin) Validate() error {
	return firstError(checkName("hive_id", o.HiveID), checkRequired("id", o.ID), checkModelID(o.ID))
}

func (o ModelUnpin) onHive(ctx context.Context, h HiveHandler) (any, error) {
	r, err := h.ModelUnpin(ctx, o)
	return done(o, r, err)
}
