package access

import (
	"cmp"
	"errors"
	"testing"

	"rbee.dev/rbee/ops"
)

// TestAGuestIsToldOfNoModelsButThoseOfHisKey: whatever names them.
func TestAGuestIsToldOfNoModelsButThoseOfHisKey(t *testing.T) {
	o := newOffice(t)
	o.Models = func() []string { return []string{"bee", "far", "fast", "hornet", "slow", "bee-2.5"} }
	o.Model = func(name string) string {
		return cmp.Or(map[string]string{"fast": "bee", "slow": "hornet"}[name], name)
	}
	narrow, _ := o.key(ops.KeyCreate{Models: []string{"far", "fast", "gone"}})
	o.There = func(name string) bool { return name == "fast" || name == "bee" }
	gone, _ := o.key(ops.KeyCreate{Models: []string{"gone", "far"}})
	wide, _ := o.key(ops.KeyCreate{})
	for name, tt := range map[string]struct {
		key           string
		message, hint string
		told, advised string
	}{
		"a list":                {narrow.ID, "no model", "there are: bee, fast, hornet", "no model", "of the models that the API key is for there are: fast"},
		"the nearest":           {narrow.ID, "no model", `did you mean "slow"?`, "no model", "of the models that the API key is for there are: fast"},
		"its own":               {narrow.ID, "no model", `did you mean "bee"?`, "no model", `did you mean "bee"?`},
		"a command":             {narrow.ID, "a: pinned models hold its memory: hornet, bee", "`rbee model unpin hornet --hive a`", "a: pinned models hold its memory: another model, bee", "of the models that the API key is for there are: fast"},
		"a name with a point":   {narrow.ID, "it runs bee-2.5.", "", "it runs another model.", ""},
		"a part of a word":      {narrow.ID, "hornets are slower", "bees-hornet", "hornets are slower", "bees-hornet"},
		"where there is none":   {gone.ID, "no model", "there are: bee", "no model", "none of the models that the API key is for is there: gone and far"},
		"a key for all":         {wide.ID, "hornet", "hornet", "hornet", "hornet"},
		"the token":             {"", "hornet", "hornet", "hornet", "hornet"},
		"a model of that name,": {narrow.ID, "no model gone", "", "no model gone", ""},
	} {
		e := ops.Errorf(ops.CodeNotFound, "%s", tt.message).WithHint("%s", tt.hint)
		e.Field = "model"
		got := ops.AsError(o.Guest(tt.key).Told(e))
		if got.Message != tt.told || got.Hint != tt.advised || got.Field != "model" || got.Code != ops.CodeNotFound {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if err := o.Guest(narrow.ID).Told(nil); err != nil {
		t.Errorf("nothing: %v", err)
	}
	why := errors.New("why")
	if err := o.Guest(narrow.ID).Told(ops.Errorf(ops.CodeInternal, "hornet: %w", why)); !errors.Is(err, why) {
		t.Errorf("its cause is gone: %v", err)
	}
}

// TestAModelCalledByAnEverydayWordLeavesMessagesReadable: it is hidden where it is
// named in quotes.
func TestAModelCalledByAnEverydayWordLeavesMessagesReadable(t *testing.T) {
	o := newOffice(t)
	o.Models = func() []string { return []string{"bee", "hive", "model", "rbee", "hornet"} }
	narrow, _ := o.key(ops.KeyCreate{Models: []string{"bee"}})
	wide, _ := o.key(ops.KeyCreate{})
	const said = "the hive gpu1 has no room for the model bee beside \"hive\" and hornet (`rbee model list`)"
	for key, want := range map[string]string{
		narrow.ID: "the hive gpu1 has no room for the model bee beside \"another model\" and another model (`rbee model list`)",
		wide.ID:   said,
		"":        said,
	} {
		if got := o.Guest(key).Words(said); got != want {
			t.Errorf("%q is told %s", key, got)
		}
	}
	const hint = "`rbee model list` shows the models that the hive has"
	if got := ops.AsError(o.Guest(narrow.ID).Told(ops.Errorf(ops.CodeNotFound, "no").WithHint(hint))).Hint; got != hint {
		t.Errorf("a hint became %s", got)
	}
}

// TestWhatAnotherNameMeansIsNotTold: to a key that is not for it.
func TestWhatAnotherNameMeansIsNotTold(t *testing.T) {
	o := newOffice(t)
	o.Model = func(name string) string { return cmp.Or(map[string]string{"slow": "hornet"}[name], name) }
	k, _ := o.key(ops.KeyCreate{Models: []string{"bee"}})
	if err := ops.AsError(o.Guest(k.ID).May("slow")); err == nil || without([]string{"hornet"}, err.Message+err.Hint) != err.Message+err.Hint {
		t.Errorf("%+v", err)
	}
}
