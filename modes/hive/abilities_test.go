package hive

import (
	"slices"
	"testing"

	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

func TestWhatAModelCanDoIsReadFromItsFile(t *testing.T) {
	for name, tt := range map[string]struct {
		set  map[string]any
		want []ops.Ability
	}{
		"tinybee":                {nil, []ops.Ability{"completion"}},
		"a template with tools":  {map[string]any{"tokenizer.chat_template": "{% if tools %}{{ tools }}{% endif %}"}, []ops.Ability{"completion", "tools"}},
		"one with thoughts too":  {map[string]any{"tokenizer.chat_template": "{% if tools %}{% endif %}{% if enable_thinking %}<think>{% endif %}"}, []ops.Ability{"completion", "tools", "thinking"}},
		"a template with little": {map[string]any{"tokenizer.chat_template": "{{ messages[0].content }}"}, []ops.Ability{"completion"}},
		"one that pools":         {map[string]any{"llama.pooling_type": uint32(1)}, []ops.Ability{"embedding"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModels(t)
			m.put(t, "m/m.gguf", gguftest.Changed(testdata.Tinybee(), tt.set))
			got, err := m.get("m")
			if err != nil || !slices.Equal(got.Abilities, tt.want) {
				t.Errorf("it can %v, %v (%s); want %v", got.Abilities, err, got.Error, tt.want)
			}
		})
	}
}

func TestAModelWithAProjectorSees(t *testing.T) {
	m := newModels(t)
	m.put(t, "eyes/bee.gguf", testdata.Tinybee())
	m.put(t, "eyes/mmproj-bee-F16.gguf", testdata.Tinybee())
	for range 2 { // what was read is remembered
		if got, err := m.get("eyes"); err != nil || !slices.Equal(got.Abilities, []ops.Ability{"completion", "vision"}) {
			t.Errorf("it can %v, %v", got.Abilities, err)
		}
	}
}
