package ops

import "context"

// ModelCopy brings a model from one hive to another, through the queen's
// connections to both: neither needs the internet, or a way to the other.
type ModelCopy struct {
	op[Model] `kong:"-" json:"-"`
	// Model is the model's name on the hive that has it.
	Model string `json:"model" arg:"" help:"Model's name."`
	// From is the hive that has it; empty means whichever does.
	From string `json:"from,omitempty" placeholder:"NAME" help:"Hive that has the model (default: whichever does)."`
	// To is the hive that gets it.
	To string `json:"to" required:"" placeholder:"NAME" help:"Hive that gets it."`
	// ID is the name it gets there; empty keeps its name.
	ID string `json:"id,omitempty" name:"name" placeholder:"NAME" help:"Name for the copy (default: the model's)."`
}

// Name returns "model_copy".
func (ModelCopy) Name() string { return "model_copy" }

// Validate wants a model's name and two hives.
func (o ModelCopy) Validate() error {
	if err := firstError(checkRequired("model", o.Model), CheckModelID(o.Model)); err != nil {
		e := AsError(err)
		e.Field = "model"
		return e
	}
	if err := firstError(checkName("from", o.From), checkRequired("to", o.To), checkName("to", o.To), checkModelID(o.ID)); err != nil {
		return err
	}
	if o.From == o.To {
		return Invalid("to", "must be another hive than %s, which the model is copied from", o.From)
	}
	return nil
}

func (o ModelCopy) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.ModelCopy(ctx, o)
	return done(o, r, err)
}
